#include "play.hpp"

#include "search.hpp"
#include "story.hpp"

#include <cstdio>
#include <optional>
#include <string>
#include <termios.h>

#include <unistd.h>

namespace explore {
namespace {

// Single keys, as long as it lives, if stdin is a terminal.
class Keys {
 public:
  Keys() {
    if (::tcgetattr(STDIN_FILENO, &usual_) != 0) return;
    termios single = usual_;
    single.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
    changed_ = ::tcsetattr(STDIN_FILENO, TCSANOW, &single) == 0;
  }
  ~Keys() {
    if (changed_) ::tcsetattr(STDIN_FILENO, TCSANOW, &usual_);
  }
  Keys(const Keys&) = delete;

  // 'q' at the end of the input.
  char next() const {
    char key = 'q';
    do {
      if (::read(STDIN_FILENO, &key, 1) != 1) return 'q';
    } while (key == '\n' && !changed_);
    return key;
  }

 private:
  termios usual_{};
  bool changed_ = false;
};

// Does what was decided so far, and stops where the next decision is.
class Player : public Decider {
 public:
  explicit Player(const std::vector<std::size_t>& decided) : decided_(decided) {}

  Thread* next(std::span<Thread* const> options, bool first_is_running) override {
    if (first_is_running && options[0]->next.effect == Step::counts) return options[0];
    options_.assign(options.begin(), options.end());
    things_ = 0;
    if (at_ == decided_.size()) return nullptr;
    return options[decided_[at_++]];
  }
  int which(int count) override {
    things_ = count;
    if (at_ == decided_.size()) world.cut_off();
    return static_cast<int>(decided_[at_++]);
  }
  void passed(const Thread&, const Step&) override {}

  // What the key decides: who goes on, or which of several things happens.
  std::optional<std::size_t> decision(char key) const {
    if (key == ' ') return 0;
    if (key < '0' || key > '9') return std::nullopt;
    const auto id = static_cast<std::size_t>(key - '0');
    if (things_ > 0)
      return id < static_cast<std::size_t>(things_) ? std::optional(id) : std::nullopt;
    for (std::size_t i = 0; i < options_.size(); ++i) {
      if (options_[i]->id == id) return i;
    }
    return std::nullopt;
  }
  int things() const { return things_; }

 private:
  const std::vector<std::size_t>& decided_;
  std::size_t at_ = 0;
  std::vector<Thread*> options_;
  int things_ = 0;
};

void show(const Module& module, const std::string& title, const Player& player) {
  const Story story = tell(module);
  constexpr std::size_t room = 10;  // lines of the past
  const std::size_t first = story.lines.size() > room ? story.lines.size() - room : 0;
  std::printf("\x1b[H\x1b[J%s\n\n%s\n", title.c_str(), steps_as_text(story, first).c_str());
  for (std::size_t i = 0; i < story.endings.size(); ++i) {
    const auto& [thread, state, place] = story.endings[i];
    const std::string file = place.file.empty() ? "" : "  (" + place.file + ')';
    std::printf("%2zu  %-11s%.65s%s\n", i, thread.c_str(), state.c_str(),
                state.size() + file.size() > 65 ? "" : file.c_str());
  }
  if (!world.cut) {
    std::printf("\n%s\n",
                world.failure ? story.sentence.c_str() : "All has ended, and all is well.");
  } else if (player.things() > 0) {
    std::printf("\nIt notifies one of %d that wait. Which? 0 to %d.\n", player.things(),
                player.things() - 1);
  } else {
    std::puts("\nWho goes on? The number of a thread; space for the one that is running.");
  }
  std::fputs("u: take a step back   q: quit", stdout);
  std::fflush(stdout);
}

}  // namespace

void play(const Module& module, const std::string& title,
          const std::function<void(Decider&)>& run) {
  const Keys keys;
  std::vector<std::size_t> decided;
  world.telling = true;
  while (true) {
    Player player(decided);
    run(player);
    show(module, title, player);
    const char key = keys.next();
    if (key == 'q') {
      std::puts("");
      return;
    }
    if (key == 'u' && !decided.empty()) decided.pop_back();
    if (!world.cut) continue;
    if (const auto decision = player.decision(key)) decided.push_back(*decision);
  }
}

}  // namespace explore
