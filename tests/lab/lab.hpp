#pragma once

#include "desk.hpp"
#include "picture.hpp"
#include "script.hpp"

#include <memory>
#include <optional>
#include <string>
#include <vector>

// The desk, and whoever presses its keys: by hand, or by a script. It knows nothing of a terminal.
class Lab {
 public:
  struct Settings {
    std::vector<int> stages{};           // one or two
    std::vector<std::string> command{};  // a server of one's own instead; empty: none
    Conditions conditions{};
    Theme theme = Theme::light;
    std::string file{};  // what the files of a recording are called, without what follows the dot
  };

  explicit Lab(Settings settings);
  ~Lab();

  void play(Script script);  // from here on
  // By hand. What is no key is told, and nothing happens.
  void press(const std::string& key);
  // Goes on for up to `limit`, or until something is there to be read.
  void step(std::span<pollfd> others, Time limit);

  bool is_over() const { return over_; }
  // Has the script pressed its last key, and has what followed from it come to its end?
  bool is_played() const;
  // Why a server still runs that should not. To be called once, at the end.
  void close();

  std::vector<Line> picture(const Size& size) const;
  // All of the recordings in which something happened; or the last one.
  std::vector<Recording> played() const;
  // Of the last of them, writes NAME.txt, NAME.svg, NAME.cast and NAME.keys. Throws
  // std::runtime_error.
  void save(const std::string& name) const;
  // What went wrong in the script.
  const std::vector<std::string>& problems() const { return problems_; }

 private:
  void perform(const std::string& word);
  void do_perform(const std::string& word);
  void choose(const std::string& key);
  void start();
  void start_stage(int stage);
  void beside();
  void change_sleep(int by);
  void build(const std::string& turn);
  void finish_building();
  void stop_building();
  void save_as_next();
  void play_on();
  void note(const std::string& word);
  void complain(const std::string& why);
  std::vector<Role> roles() const;
  Recording current() const;
  std::string hint() const;
  std::vector<Line> menu(std::size_t width) const;
  Time beat() const { return settings_.conditions.sleep / 3; }

  Settings settings_;
  std::unique_ptr<Desk> desk_;  // none if its server did not start
  std::vector<Recording> past_;
  std::string title_;
  std::string turn_;      // the wrong turn that is in; empty: none
  std::string building_;  // the one that is being built
  std::unique_ptr<Process> builder_;
  char menu_ = '\0';  // 'w', 'l' or '?': what lies over the picture
  std::vector<std::string> choices_;
  std::optional<Time> held_;  // the moment at which the picture is held
  Kind last_kind_ = Kind::slow;
  std::string message_;
  std::vector<std::string> problems_;
  Script script_;
  std::size_t next_ = 0;  // of its keys
  Clock::time_point due_;
  Clock::time_point patience_;        // up to when it waits for clients to be where they will be
  std::vector<std::string> pressed_;  // since the servers were started, with beats
  Clock::time_point noted_;           // when the last of them was
  bool over_ = false;
  bool by_hand_ = false;  // what is done now is
};
