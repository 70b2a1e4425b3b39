#include "lab.hpp"

#include "keep.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <csignal>
#include <filesystem>

using namespace std::chrono_literals;

namespace {

constexpr std::array<Time, 8> sleeps{500ms,  1000ms, 1500ms, 2000ms,
                                     3000ms, 5000ms, 8000ms, 15000ms};

// What a signal of a script waits for the clients to be where they will be.
constexpr Time most_settling = 3s;

Role stage_role(int stage) {
  Subject subject = stage_subject(stage);
  const std::filesystem::path binary = subject.command.front();
  return {binary.parent_path().filename().string(), std::move(subject), stage >= 3, true};
}

// The names of the files in a folder, without what follows the dot.
std::vector<std::string> names_in(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    names.push_back(entry.path().stem().string());
  std::ranges::sort(names);
  return names;
}

const std::string turns = SOURCE "/notes/wrong_turns";
const std::string scenes = SOURCE "/tests/lab/scenes";

bool happened(const Recording& recording) {
  return !recording.marks.empty() ||
         std::ranges::any_of(recording.servers,
                             [](const ServerRecord& server) { return !server.clients.empty(); });
}

struct Signal {
  std::string_view word;
  int number;
  std::string_view name;
};

const Signal* signal_of(std::string_view word) {
  static constexpr std::array<Signal, 5> signals{{{"^C", SIGINT, "^C"},
                                                  {"S", SIGSTOP, "SIGSTOP"},
                                                  {"C", SIGCONT, "SIGCONT"},
                                                  {"T", SIGTERM, "SIGTERM"},
                                                  {"K", SIGKILL, "SIGKILL"}}};
  const auto found = std::ranges::find(signals, word, &Signal::word);
  return found == signals.end() ? nullptr : &*found;
}

std::optional<Kind> kind_of(const std::string& word) {
  constexpr std::string_view letters = "csztr";
  const std::size_t at = word.size() == 1 ? letters.find(word) : std::string_view::npos;
  return at == std::string_view::npos ? std::nullopt : std::optional(static_cast<Kind>(at));
}

}  // namespace

Lab::Lab(Settings settings) : settings_(std::move(settings)) { start(); }

std::vector<Role> Lab::roles() const {
  if (!settings_.command.empty()) {
    const std::string name = std::filesystem::path(settings_.command.front()).filename().string();
    return {{name, {settings_.command}}};
  }
  std::vector<Role> all;
  for (const int stage : settings_.stages) all.push_back(stage_role(stage));
  if (!turn_.empty()) {
    all.back().name = "stage 4 with " + turn_;
    all.back().subject.command.front() = BUILD "/tests/stage4_with_" + turn_;
  }
  return all;
}

// From the start, without clients.
void Lab::start() {
  if (desk_ && happened(desk_->recording())) past_.push_back(desk_->recording());
  desk_.reset();
  held_.reset();
  last_kind_ = Kind::slow;
  pressed_.clear();
  noted_ = Clock::now();
  try {
    desk_ = std::make_unique<Desk>(roles(), settings_.conditions, title_);
  } catch (const std::exception& error) {
    message_ = error.what();
    problems_.push_back(message_);
  }
}

void Lab::start_stage(int stage) {
  settings_.command.clear();
  settings_.stages = {stage};
  turn_.clear();
  start();
}

// The stage before it; or what is right, beside a wrong turn.
void Lab::beside() {
  std::vector<int>& stages = settings_.stages;
  if (!settings_.command.empty()) {
    message_ = "Beside a server of your own there is no stage.";
    return;
  }
  if (stages.size() == 2)
    stages.erase(stages.begin());
  else if (stages == std::vector{1})
    stages = {1, 2};
  else
    stages.insert(stages.begin(), turn_.empty() ? stages.front() - 1 : 4);
  start();
}

void Lab::change_sleep(int by) {
  Time& sleep = settings_.conditions.sleep;
  const auto next =
      by > 0 ? std::ranges::upper_bound(sleeps, sleep) : std::ranges::lower_bound(sleeps, sleep);
  if (by > 0 ? next == sleeps.end() : next == sleeps.begin()) {
    message_ = "There is no other: /sleep takes 0.5 to 15 s.";
    return;
  }
  sleep = by > 0 ? *next : *std::prev(next);
  start();
  message_ = "/sleep takes " + seconds(sleep) + " s now, and the servers have been started again.";
}

// It is built, and meanwhile all goes on.
void Lab::take_turn(const std::string& name) {
  if (std::ranges::count(names_in(turns), name) == 0) {
    message_ = "There is no wrong turn '" + name + "'.";
    problems_.push_back(message_);
    return;
  }
  try {
    builder_ = std::make_unique<Process>(
        std::vector<std::string>{"ninja", "-C", BUILD, "tests/stage4_with_" + name});
    building_ = name;
    message_ = "Building stage 4 with " + name + " ...";
  } catch (const std::exception& error) {
    message_ = error.what();
    problems_.push_back(message_);
  }
}

void Lab::finish_building() {
  const std::optional<Exit> exit = builder_ ? builder_->wait_for_exit(0ms) : std::nullopt;
  if (!exit) return;
  const std::string said = builder_->out();
  builder_.reset();
  message_.clear();
  if (!exit->with(0)) {
    message_ = "Stage 4 with " + building_ + " cannot be built: ninja says why.";
    problems_.push_back(message_ + '\n' + said);
    return;
  }
  turn_ = building_;
  settings_.command.clear();
  const bool two = settings_.stages.size() == 2;
  settings_.stages = two ? std::vector{4, 4} : std::vector{4};
  start();
}

void Lab::choose(const std::string& word) {
  const char menu = std::exchange(menu_, '\0');
  const std::size_t at = word.size() == 1 ? static_cast<std::size_t>(word.front() - 'a') : 99;
  if (menu == '?' || at >= choices_.size()) return;
  const std::string choice = choices_[at];
  if (menu == 'w') {
    press("w=" + choice);
  } else {
    play(parse_script(read_file(scenes + '/' + choice + ".keys")));
  }
}

void Lab::play(Script script) {
  script_ = std::move(script);
  next_ = 0;
  due_ = patience_ = Clock::now();
  title_ = script_.title;
  if (!script_.stages.empty()) {
    settings_.command.clear();
    settings_.stages = script_.stages;
  }
  turn_.clear();
  start();
}

void Lab::press(const std::string& word) {
  message_.clear();
  if (menu_ != '\0') return choose(word);
  if (!is_key(word) && word != "?") {
    message_ = "There is no key '" + word + "': ? lists them.";
    problems_.push_back("there is no key '" + word + "'");
    return;
  }
  try {
    do_press(word);
  } catch (const std::exception& error) {
    message_ = error.what();
    problems_.push_back(message_);
  }
}

void Lab::do_press(const std::string& word) {
  if (word == "q") {
    over_ = true;
  } else if (word == "?" || word == "l" || word == "w") {
    menu_ = word.front();
    if (menu_ != '?') choices_ = names_in(menu_ == 'w' ? turns : scenes);
  } else if (word.starts_with("w=")) {
    take_turn(word.substr(2));
  } else if (word >= "1" && word <= "4") {
    start_stage(word.front() - '0');
  } else if (word == "n") {
    start_stage(settings_.stages.empty() ? 1 : settings_.stages.back() % 4 + 1);
  } else if (word == "d") {
    beside();
  } else if (word == "a") {
    start();
  } else if (word == "+" || word == "-") {
    change_sleep(word == "+" ? 1 : -1);
  } else if (word == "space") {
    held_ = held_ || !desk_ ? std::nullopt : std::optional(desk_->recording().now);
  } else if (word == ".") {
    if (held_ && desk_) held_ = std::min(*held_ + 100ms, desk_->recording().now);
  } else if (word == ",") {
    if (held_) held_ = std::max(*held_ - 100ms, Time(0));
  } else if (word == "v") {
    keep(settings_.keep);
    message_ = "Kept as " + settings_.keep + ".txt, .svg, .cast and .keys.";
  } else if (!desk_) {
    message_ = "No server runs: a starts it again, n the next stage.";
  } else if (const Signal* const signal = signal_of(word)) {
    note(word);
    desk_->send(signal->number, std::string(signal->name));
  } else {
    note(word);
    const std::optional<Kind> kind = kind_of(word);
    last_kind_ = kind.value_or(last_kind_);
    desk_->connect(last_kind_, kind ? 1 : 50);
  }
}

// So that it can be played again: a beat for each third of a /sleep between two keys.
void Lab::note(const std::string& word) {
  const auto beats = std::lround(std::chrono::duration<double>(Clock::now() - noted_) / beat());
  if (!pressed_.empty()) pressed_.insert(pressed_.end(), static_cast<std::size_t>(beats), ".");
  pressed_.push_back(word);
  noted_ = Clock::now();
}

// The keys of the script that are due.
void Lab::play_on() {
  while (next_ < script_.keys.size() && !builder_ && Clock::now() >= due_) {
    const std::string word = script_.keys[next_];
    const bool settled = !desk_ || desk_->is_settled() || Clock::now() > patience_;
    if (signal_of(word) != nullptr && !settled) return;
    ++next_;
    if (word == ".")
      due_ += std::chrono::duration_cast<Clock::duration>(beat());
    else
      press(word);
    if (builder_ || word != ".") due_ = std::max(due_, Clock::now());
    patience_ = due_ + most_settling;
  }
}

void Lab::step(std::span<pollfd> others, Time limit) {
  const bool plays = next_ < script_.keys.size();
  if (desk_)
    desk_->step(others, std::min(limit, plays ? Time(10) : limit));
  else
    ::poll(others.data(), others.size(), static_cast<int>(limit.count()));
  finish_building();
  play_on();
}

bool Lab::is_played() const {
  return next_ >= script_.keys.size() && !builder_ && (!desk_ || desk_->is_over());
}

void Lab::close() {
  if (desk_) desk_->close();
}

Time Lab::shown_at() const { return held_.value_or(desk_->recording().now); }

std::string Lab::hint() const {
  if (!message_.empty()) return ' ' + message_;
  if (held_) return " The picture is held, the servers go on. space: now  . ,: a step  ?: help";
  return " c s z t r  b 50 " + std::string(meaning(last_kind_)) +
         "  ^C S C T K  n next  a again  w l  ? help  q quit";
}

std::vector<Line> Lab::picture(const Size& size) const {
  if (!has_room(size))
    return {Line("The lab needs 80x24, and here are " + std::to_string(size.columns) + 'x' +
                 std::to_string(size.rows) + ": make the")
                .fit(size.columns),
            Line("terminal larger, or the letters smaller. The servers go on.").fit(size.columns)};
  std::vector<Line> lines;
  if (desk_)
    lines = draw_desk(desk_->recording(), shown_at(), size, hint());
  else
    lines.resize(size.rows, Line().fit(size.columns)),
        lines.back() = Line(hint()).fit(size.columns);
  std::vector<Line> over;
  if (menu_ == '?') {
    const std::size_t half = (keys().size() + 1) / 2;
    for (std::size_t i = 0; i < half; ++i) {
      Line line;
      for (const std::size_t key : {i, i + half}) {
        if (key >= keys().size()) continue;
        line.add(std::string(" ").append(keys()[key].word), Ink::bold)
            .pad_to(key == i ? 8 : size.columns / 2 + 8);
        line.add(keys()[key].meaning).pad_to(size.columns / 2);
      }
      over.push_back(line);
    }
    over.emplace_back(" Any key goes back.");
  } else if (menu_ != '\0') {
    for (std::size_t i = 0; i < choices_.size(); ++i) {
      const char letter = static_cast<char>('a' + i);
      over.push_back(Line(std::string{' ', letter, ' ', ' '}, Ink::bold).add(choices_[i]));
    }
    over.emplace_back(menu_ == 'w' ? " Which wrong turn? Any other key: none."
                                   : " Which scene? Any other key: none.");
  }
  for (std::size_t i = 0; i < over.size() && i + 2 < lines.size(); ++i)
    lines[i + 1] = over[i].fit(size.columns);
  return lines;
}

std::vector<Recording> Lab::played() const {
  std::vector<Recording> all = past_;
  if (desk_ && (happened(desk_->recording()) || all.empty())) all.push_back(desk_->recording());
  return all;
}

void Lab::keep(const std::string& name) const {
  const std::vector<Recording> all = played();
  if (all.empty()) throw std::runtime_error("nothing has been played that could be kept");
  std::string text;
  for (const Recording& recording : all) text += draw_text(recording, 80, false);
  const Size size = all.back().servers.size() == 2 ? Size{100, 30} : Size{80, 24};
  write_file(name + ".txt", text);
  write_file(name + ".svg", draw_svg(all.back(), settings_.theme));
  write_file(name + ".cast", asciicast(all.back(), size));
  std::string keys;
  for (const int stage : settings_.stages) keys += std::to_string(stage) + ' ';
  if (!turn_.empty()) keys += "w=" + turn_ + ' ';
  for (const std::string& word : pressed_) keys += word + ' ';
  keys.back() = '\n';
  write_file(name + ".keys", "# " + (title_.empty() ? "As it was played" : title_) + '\n' + keys);
}
