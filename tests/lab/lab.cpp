#include "lab.hpp"

#include "files.hpp"

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

const std::string turns = SOURCE "/notes/wrong_turns/";
const std::string scenes = SOURCE "/tests/lab/scenes/";

// Ninja ends what it has started itself, if it is asked to.
constexpr Time to_end_ninja = 2s;

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

Lab::~Lab() { stop_building(); }

std::vector<Role> Lab::roles() const {
  if (settings_.stages.empty()) {
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

// In a script it is to be told at the end as well.
void Lab::complain(const std::string& why) {
  message_ = why;
  if (!by_hand_) problems_.push_back(why);
}

// From the start, without clients. What is being built is for what was there before.
void Lab::start() {
  stop_building();
  if (desk_ && happened(desk_->recording())) past_.push_back(current());
  desk_.reset();
  held_.reset();
  last_kind_ = Kind::slow;
  pressed_.clear();
  noted_ = Clock::now();
  try {
    desk_ = std::make_unique<Desk>(roles(), settings_.conditions, title_);
  } catch (const std::exception& error) {
    complain(error.what());
  }
}

void Lab::start_stage(int stage) {
  if (stage == 0 && settings_.command.empty()) {
    message_ = "There is no server of your own: start one with lab -- COMMAND.";
    return;
  }
  settings_.stages.clear();
  if (stage > 0) settings_.stages = {stage};
  turn_.clear();
  start();
}

// The stage before it; or what is right, beside a wrong turn.
void Lab::beside() {
  std::vector<int>& stages = settings_.stages;
  if (stages.empty()) {
    message_ = "A server of your own is shown alone.";
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
    message_ = "The keys set /sleep from 0.5 to 15 s; --sleep-ms goes further.";
    return;
  }
  sleep = by > 0 ? *next : *std::prev(next);
  start();
  message_ = "/sleep now takes " + seconds(sleep) + " s. The servers have been restarted.";
}

// Meanwhile all goes on.
void Lab::build(const std::string& turn) {
  if (std::ranges::count(names_in(turns), turn) == 0)
    throw std::runtime_error("there is no wrong turn '" + turn + "'");
  stop_building();
  building_ = turn;
  message_ = "Building stage 4 with " + turn + " ...";
  builder_ = std::make_unique<Process>(
      std::vector<std::string>{"ninja", "-C", BUILD, "tests/stage4_with_" + turn});
}

void Lab::finish_building() {
  const std::optional<Exit> exit = builder_ ? builder_->wait_for_exit(0ms) : std::nullopt;
  if (!exit) return;
  const std::string said = builder_->out();
  builder_.reset();
  message_.clear();
  if (!exit->with(0)) {
    complain("Stage 4 with " + building_ + " cannot be built: ninja -C build tests/stage4_with_" +
             building_);
    return;
  }
  turn_ = building_;
  const bool two = settings_.stages.size() == 2;
  settings_.stages = two ? std::vector{4, 4} : std::vector{4};
  start();
}

void Lab::stop_building() {
  if (!builder_) return;
  builder_->send(SIGINT);
  builder_->wait_for_exit(to_end_ninja);
  builder_.reset();
}

void Lab::choose(const std::string& key) {
  const char menu = std::exchange(menu_, '\0');
  const auto at = static_cast<std::size_t>(key.front() - 'a');
  if (menu == '?' || key.size() != 1 || at >= choices_.size()) return;
  if (menu == 'w')
    perform("w=" + choices_[at]);
  else
    play(parse_script(read_file(scenes + choices_[at] + ".keys")));
}

void Lab::play(Script script) {
  script_ = std::move(script);
  next_ = 0;
  due_ = patience_ = Clock::now();
  title_ = script_.title;
  if (!script_.stages.empty()) settings_.stages = script_.stages;
  turn_.clear();
  start();
}

void Lab::press(const std::string& key) {
  message_.clear();
  by_hand_ = true;
  if (menu_ != '\0') {
    choose(key);
  } else if (key == "?" || key == "w" || key == "l") {
    menu_ = key.front();
    if (menu_ != '?') choices_ = names_in(menu_ == 'w' ? turns : scenes);
  } else if (key != "Esc") {
    // What is on stage now is not what the script was for.
    constexpr std::string_view restarts = "01234nad+-";
    if (key.size() == 1 && restarts.find(key) != std::string_view::npos) {
      next_ = script_.keys.size();
      title_.clear();
    }
    perform(key);
  }
  by_hand_ = false;
}

// A word of a script, or a key that is no menu's.
void Lab::perform(const std::string& word) {
  if (!is_key(word)) return complain("There is no key '" + word + "': ? lists them.");
  try {
    do_perform(word);
  } catch (const std::exception& error) {
    complain(error.what());
  }
}

void Lab::do_perform(const std::string& word) {
  if (word == "q") {
    over_ = true;
  } else if (word.starts_with("w=")) {
    build(word.substr(2));
  } else if (word >= "0" && word <= "4") {
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
    save_as_next();
  } else if (!desk_) {
    message_ = "No server is running: press a to restart it, n for the next stage.";
  } else if (const Signal* const signal = signal_of(word)) {
    note(word);
    if (!desk_->send(signal->number, std::string(signal->name)))
      message_ = "The server has ended: press a to restart it.";
    else if (held_)
      message_ = std::string(signal->name) + " has been sent. The picture is held: space resumes.";
  } else {
    note(word);
    const std::optional<Kind> kind = kind_of(word);
    last_kind_ = kind.value_or(last_kind_);
    desk_->connect(last_kind_, kind ? 1 : 50);
    if (held_) message_ = "The client has connected. The picture is held: space resumes.";
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
      perform(word);
    if (builder_ || word != ".") due_ = std::max(due_, Clock::now());
    patience_ = due_ + most_settling;
  }
}

void Lab::step(std::span<pollfd> others, Time limit) {
  const bool plays = next_ < script_.keys.size();
  try {
    if (desk_)
      desk_->step(others, std::min(limit, plays ? Time(10) : limit));
    else
      poll_until(others, Clock::now() + limit);
  } catch (const std::exception& error) {  // no descriptor is left to ask the kernel with
    message_ = error.what();
  }
  finish_building();
  play_on();
}

bool Lab::is_played() const {
  return next_ >= script_.keys.size() && !builder_ && (!desk_ || desk_->is_over());
}

void Lab::close() {
  if (desk_) desk_->close();
}

std::string Lab::hint() const {
  if (!message_.empty()) return ' ' + message_;
  if (held_) return " The picture is held, the servers go on. space: now  . ,: a step  ?: help";
  return " c s z t r  b 50 " + std::string(meaning(last_kind_)) +
         "  ^C S C T K  1-4 n a d w l + - v space  ? help  q quit";
}

// What lies over the picture: the keys, or what can be chosen.
std::vector<Line> Lab::menu(std::size_t width) const {
  std::vector<Line> lines;
  if (menu_ == '\0') return lines;
  if (menu_ == '?') {
    const std::size_t rows = (keys().size() + 1) / 2;
    lines.resize(rows);
    for (std::size_t i = 0; i < keys().size(); ++i) {
      const std::size_t column = i < rows ? 1 : width / 2 + 1;
      lines[i % rows].put(column, keys()[i].word, Ink::bold).put(column + 7, keys()[i].meaning);
    }
    lines.emplace_back(" Any key goes back.");
    return lines;
  }
  for (std::size_t i = 0; i < choices_.size(); ++i) {
    const std::string file =
        menu_ == 'w' ? turns + choices_[i] + ".patch" : scenes + choices_[i] + ".keys";
    const std::string text = read_file(file);
    const std::string first = text.substr(0, text.find('\n'));
    Line& line = lines.emplace_back();
    line.put(1, std::string(1, static_cast<char>('a' + i)), Ink::bold).put(4, choices_[i]);
    line.pad_to(28).add(first.substr(first.find_first_not_of("# ")));
  }
  const std::string which =
      menu_ == 'w' ? " Which wrong turn?" : " Which scene? /sleep stays as it is.";
  lines.emplace_back(which + " Any other key cancels.");
  return lines;
}

std::vector<Line> Lab::picture(const Size& size) const {
  if (!has_room(size)) {
    const std::string found = std::to_string(size.columns) + 'x' + std::to_string(size.rows);
    return {Line("The lab needs 80x24, and here are " + found + ": make the").fit(size.columns),
            Line("terminal larger, or the letters smaller. The servers go on.").fit(size.columns)};
  }
  const Recording nothing;
  const Time at = desk_ ? held_.value_or(desk_->recording().now) : Time(0);
  std::vector<Line> lines = draw_desk(desk_ ? desk_->recording() : nothing, at, size, hint());
  std::vector<Line> over = menu(size.columns);
  for (std::size_t i = 0; i < over.size() && i + 2 < lines.size(); ++i)
    lines[i + 1] = over[i].fit(size.columns);
  return lines;
}

// With the script that plays it again.
Recording Lab::current() const {
  Recording recording = desk_->recording();
  for (const int stage : settings_.stages) recording.keys += std::to_string(stage) + ' ';
  if (!turn_.empty()) recording.keys += "w=" + turn_ + ' ';
  for (const std::string& word : pressed_) recording.keys += word + ' ';
  return recording;
}

std::vector<Recording> Lab::played() const {
  std::vector<Recording> all = past_;
  if (desk_ && (happened(desk_->recording()) || all.empty())) all.push_back(current());
  return all;
}

void Lab::save(const std::string& name) const {
  const std::vector<Recording> all = played();
  if (all.empty()) throw std::runtime_error("nothing has been played yet");
  const Recording& last = all.back();
  std::string head = last.title.empty() ? "As it was played" : last.title;
  head += "\n# with --sleep-ms " + std::to_string(last.sleep.count()) + " --workers " +
          std::to_string(last.workers);
  if (settings_.stages.empty()) head += ", and a server of one's own";
  write_file(name + ".txt", draw_text(last, 80, false));
  write_file(name + ".svg", draw_svg(last, settings_.theme));
  write_file(name + ".cast", asciicast(last, {80, 24}));
  write_file(name + ".keys", "# " + head + '\n' + last.keys + '\n');
}

// No file of another recording is written over.
void Lab::save_as_next() {
  std::string name = settings_.file;
  for (int i = 2; std::filesystem::exists(name + ".keys"); ++i)
    name = settings_.file + '-' + std::to_string(i);
  save(name);
  message_ = "Saved as " + name + ".txt, .svg, .cast and .keys.";
}
