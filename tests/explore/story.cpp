#include "story.hpp"

#include "memory.hpp"

#include <algorithm>
#include <cstdio>
#include <dlfcn.h>
#include <fstream>
#include <iomanip>
#include <map>
#include <memory>
#include <set>
#include <sstream>

namespace explore {
namespace {

bool is_own(const std::string& file) {
  return file.find("/include/") == file.npos && file.find("/usr/lib/") == file.npos &&
         file.find("??") == file.npos;
}

std::string source_line(const std::string& file, int number) {
  static std::map<std::string, std::vector<std::string>> files;
  auto [known, is_new] = files.try_emplace(file);
  if (is_new) {
    std::ifstream in(file);
    for (std::string line; std::getline(in, line);) known->second.push_back(line);
  }
  const auto at = static_cast<std::size_t>(number) - 1;
  if (at >= known->second.size()) return {};
  const std::string& line = known->second[at];
  return line.substr(std::min(line.find_first_not_of(' '), line.size()));
}

// Asks addr2line about many addresses at once: it reads the whole module each time.
class Places {
 public:
  void find(const Module& module, std::set<void*> addresses) {
    std::erase_if(addresses, [this](void* address) { return !asked_.insert(address).second; });
    std::string command = "addr2line -a -i -e '" + module.path() + "'";
    for (void* address : addresses) {
      char text[32];
      // A return address is that of the next instruction.
      std::snprintf(text, sizeof text, " %zx",
                    reinterpret_cast<std::size_t>(address) - module.base() - 1);
      command += text;
    }
    if (addresses.empty()) return;  // or addr2line would read them from the terminal
    const std::unique_ptr<FILE, int (*)(FILE*)> pipe(::popen(command.c_str(), "r"), ::pclose);
    if (!pipe) return;
    char line[4096];
    void* address = nullptr;
    while (std::fgets(line, sizeof line, pipe.get()) != nullptr) {
      const std::string text(line);
      const std::size_t colon = text.rfind(':');
      if (text.starts_with("0x")) {
        address = reinterpret_cast<void*>(std::stoull(text, nullptr, 16) + module.base() + 1);
      } else if (colon != text.npos && is_own(text.substr(0, colon)) && !known_.contains(address)) {
        const std::string file = text.substr(0, colon);
        const int number = std::atoi(text.c_str() + colon + 1);
        known_[address] = {file.substr(file.rfind('/') + 1), number, source_line(file, number)};
      }
    }
  }

  // The innermost place of the program's own.
  Place of(const std::vector<void*>& frames) const {
    for (void* frame : frames) {
      if (const auto found = known_.find(frame); found != known_.end()) return found->second;
    }
    return {};
  }

 private:
  std::map<void*, Place> known_;
  std::set<void*> asked_;
};

const Places& places_of(const Module& module) {
  static Places places;
  std::set<void*> addresses;
  const auto add = [&](void* frame) {
    if (module.has(frame)) addresses.insert(frame);
  };
  for (const Event& event : world.events) std::ranges::for_each(event.frames, add);
  for (const Thread& thread : std::span(world.threads).first(world.count))
    std::ranges::for_each(thread.frames, add);
  std::ranges::for_each(last_race().first, add);
  std::ranges::for_each(last_race().second, add);
  places.find(module, std::move(addresses));
  return places;
}

// What a student calls the mutex, the condition or the atomic of this line: what stands in the
// brackets of a lock_guard, or before ".wait(". Not by <regex>, which takes long to compile.
std::string name_in(std::string_view text, bool is_lock) {
  for (const char* const type : {"lock_guard", "unique_lock", "scoped_lock", "shared_lock"}) {
    const std::size_t at = is_lock ? text.find(type) : text.npos;
    const std::size_t begin = text.find_first_not_of("({ ", text.find_first_of("({", at));
    if (begin != text.npos)
      return std::string(text.substr(begin, text.find_first_of(",(){} ", begin) - begin));
  }
  static const std::vector<std::string> locking{"lock", "try_lock"};
  static const std::vector<std::string> others{"wait",       "notify", "load",    "store",
                                               "exchange",   "fetch",  "acquire", "release",
                                               "count_down", "arrive"};
  std::size_t end = text.npos;
  for (const std::string& call : is_lock ? locking : others)
    end = std::min({end, text.find('.' + call), text.find("->" + call)});
  if (end == text.npos) return {};
  text = text.substr(0, end);
  constexpr auto parts = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.->[]";
  return std::string(text.substr(text.find_last_not_of(parts) + 1));
}

// Of libstdc++, which is in the program, since it is a template.
bool is_in_semaphore(const Thread& thread) {
  return std::ranges::any_of(thread.frames, [](const void* frame) {
    Dl_info info{};
    return ::dladdr(frame, &info) != 0 && info.dli_sname != nullptr &&
           std::string_view(info.dli_sname).find("__atomic_semaphore") != std::string_view::npos;
  });
}

std::string fit(std::string text, std::size_t width) {
  if (text.size() > width) text = text.substr(0, width - 1) + "…";
  return text;
}

class Teller {
 public:
  explicit Teller(const Module& module) : places_(places_of(module)) {
    for (const Event& event : world.events) {
      const bool is_lock = std::string_view(event.step.what).find("lock") != std::string::npos;
      const std::string name = name_in(places_.of(event.frames).text, is_lock);
      if (event.step.a != nullptr && !name.empty()) names_.try_emplace(event.step.a, name);
      follow(event);
    }
  }

  Place place(const std::vector<void*>& frames) const { return places_.of(frames); }

  std::string name(const void* object) const {
    for (const Thread& thread : std::span(world.threads).first(world.count)) {
      if (object == &thread) return thread.name;
    }
    const auto found = names_.find(object);
    return found == names_.end() ? "something" : found->second;
  }

  Ending ending(const Thread& thread) const {
    Ending ending{thread.name, "", places_.of(thread.frames)};
    if (thread.state != Thread::running) {
      ending.state = thread.state == Thread::joined ? "has ended, and was joined" : "has ended";
      ending.place = {};
      return ending;
    }
    const std::string_view what = thread.next.what;
    if (&thread == world.last)
      ending.state = "is where it went wrong";
    else if (thread.ready())
      ending.state = "can go on: " + std::string(what) + "  " + fit(ending.place.text, 23);
    else if (what == "join")
      ending.state = "waits for " + name(thread.next.a) + " to end";
    else if (what == "lock")
      ending.state = "waits for the lock " + name(thread.next.a) + owner(thread.next.a);
    else if (thread.waits_on != nullptr)
      ending.state =
          "waits for " + name(thread.next.a) +
          (thread.notified ? ", has been notified, and waits for the lock" : " to be notified");
    else
      ending.state = "waits: " + std::string(what) + ' ' + name(thread.next.a);
    std::string held;
    for (const auto& [mutex, holder] : owners_) {
      if (holder == &thread) held += (held.empty() ? "" : ", ") + name(mutex);
    }
    if (!held.empty()) ending.state += "; holds " + held;
    return ending;
  }

  std::string sentence(const std::vector<Line>& lines) const {
    if (!world.failure) return "All is well in this order.";
    if (world.failure.kind != "hang") return world.failure.sentence;
    std::string text = "Nobody can go on.";
    // The main thread mostly waits for what the others were to do.
    for (std::size_t i = 1; i <= world.count; ++i) {
      const Thread& thread = world.threads[i % world.count];
      if (thread.state != Thread::running || thread.waits_on == nullptr || thread.notified)
        continue;
      text += last_notification(thread, lines);
      if (is_in_semaphore(thread))
        text +=
            "\nOr the bug is not in this program: libstdc++ has one there, gcc.gnu.org/PR98033.";
    }
    return text;
  }

 private:
  std::string owner(const void* mutex) const {
    const auto found = owners_.find(mutex);
    return found == owners_.end() ? "" : ", which " + found->second->name + " holds";
  }

  void follow(const Event& event) {
    const std::string_view what = event.step.what;
    if (what == "lock" || what == "try to lock") owners_[event.step.a] = event.thread;
    if (what == "wake up" && event.step.b != nullptr) owners_[event.step.b] = event.thread;
    if (what == "unlock") owners_.erase(event.step.a);
    if (what == "wait") owners_.erase(event.step.b);
  }

  // When was it notified last, and what did the thread do then?
  std::string last_notification(const Thread& thread, const std::vector<Line>& lines) const {
    std::size_t looked = 0;
    std::size_t waited = 0;
    std::size_t notified = 0;
    for (std::size_t i = 0; i < lines.size(); ++i) {
      const auto& [who, what, place, object, times] = lines[i];
      if (who == thread.id && what == "wait") waited = i + 1;
      const bool loads = object == thread.waits_on && what.starts_with("load");
      if (who == thread.id && (loads || what == "lock" || what == "wake up")) looked = i + 1;
      if (object == thread.waits_on && what.starts_with("notify")) notified = i + 1;
    }
    const std::string changed = name(thread.waits_on);
    if (notified == 0)
      return "\nNobody notifies " + changed + ", and " + thread.name + " waits for that.";
    const std::string step =
        "\nThe last notification of " + changed + " is step " + std::to_string(notified);
    if (notified > waited) return step + ". It woke somebody else, not " + thread.name + '.';
    if (notified < looked)
      return step + ". " + thread.name + " checked after that, in step " + std::to_string(looked) +
             ", and found\nnothing to do: of what came later it has not been notified.";
    return step + ". " + thread.name + " checked in step " + std::to_string(looked) +
           ",\nand began to wait in step " + std::to_string(waited) +
           ", too late to be notified: a lost wake-up.";
  }

  const Places& places_;
  std::map<const void*, std::string> names_;
  std::map<const void*, const Thread*> owners_;
};

std::string trimmed(const std::string& text) {
  return text.substr(0, text.find_last_not_of(' ') + 1);
}

std::string padded(const std::string& text, std::size_t width) {
  return text + std::string(width > text.size() ? width - text.size() : 0, ' ');
}

std::string where(const Place& place) {
  return place.file.empty() ? "" : place.file + ':' + std::to_string(place.line);
}

// Not how shared_ptr counts, and not an unlock before which nobody else has come.
bool is_worth_telling(std::size_t at) {
  const Event& event = world.events[at];
  const bool unlock = std::string_view(event.step.what) == "unlock";
  for (std::size_t i = at; unlock && i-- > 0;) {
    if (world.events[i].thread != event.thread) return true;
    if (world.events[i].step.effect == Step::locks) return false;
  }
  return event.step.effect != Step::counts;
}

// "load x12"
std::string step(const Line& line) {
  return line.what + (line.times > 1 ? " x" + std::to_string(line.times) : "");
}

// It spins.
bool is_again(const Line& line, const Line& before) {
  return line.thread == before.thread && line.what == before.what &&
         line.place.line == before.place.line;
}

}  // namespace

Story tell(const Module& module) {
  const Teller teller(module);
  Story story;
  for (const Thread& thread : std::span(world.threads).first(world.count)) {
    story.threads.push_back(thread.name);
    story.endings.push_back(teller.ending(thread));
  }
  for (std::size_t i = 0; i < world.events.size(); ++i) {
    const Event& event = world.events[i];
    if (!is_worth_telling(i)) continue;
    Line line{event.thread->id, event.step.what, teller.place(event.frames), event.step.a};
    const bool again = !story.lines.empty() && is_again(line, story.lines.back());
    if (again) {
      ++story.lines.back().times;
    } else {
      story.lines.push_back(std::move(line));
    }
  }
  story.sentence = teller.sentence(story.lines);
  if (world.failure.kind == "data race") {
    const Race& race = last_race();
    for (const std::vector<void*>& frames : {race.first, race.second}) {
      const Place place = teller.place(frames);
      if (!place.file.empty()) story.sentence += "\n  " + where(place) + "  " + place.text;
    }
  }
  return story;
}

std::string steps_as_text(const Story& story, std::size_t first) {
  const std::size_t width = story.threads.size() > 3 ? 110 : 80;
  constexpr std::size_t column = 11;
  const std::size_t places = column * story.threads.size();
  std::ostringstream out;
  std::string heads = "     ";
  for (const std::string& thread : story.threads) heads += padded(thread, column);
  out << trimmed(heads) << '\n';
  constexpr std::size_t most = 60;  // or a program that never ends has never been told
  const std::size_t left_out =
      story.lines.size() - first > most ? story.lines.size() - most : first;
  for (std::size_t i = first; i < story.lines.size(); ++i) {
    if (i == first + most / 2 && left_out > first) {
      out << "  …\n";
      i = left_out + most / 2;
    }
    const Place& place = story.lines[i].place;
    const std::string indented = std::string(column * story.lines[i].thread, ' ');
    const std::string line = padded(indented + step(story.lines[i]), places) + where(place) + "  ";
    const std::string text = fit(place.text, std::max(width, line.size() + 7) - line.size() - 5);
    out << std::setw(3) << i + 1 << "  " << trimmed(line + text) << '\n';
  }
  return out.str();
}

std::string as_text(const Story& story) {
  std::string text = steps_as_text(story) + '\n';
  for (const auto& [thread, state, place] : story.endings)
    text += "  " + padded(thread, 11) + state +
            (place.file.empty() ? "" : "  (" + where(place) + ")") + '\n';
  return text + '\n' + story.sentence + '\n';
}

std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : text)
    result += c == '<' ? "&lt;" : c == '>' ? "&gt;" : c == '&' ? "&amp;" : std::string(1, c);
  return result;
}

// One column a thread, and its line of life from its first step to its last.
std::string as_svg(const Story& story) {
  constexpr int row = 22;
  constexpr int column = 110;
  const int places = 50 + column * static_cast<int>(story.threads.size());
  const int height = 110 + row * static_cast<int>(story.lines.size() + 3 + story.endings.size());
  std::ostringstream out;
  const auto text = [&](int x, int y, const char* style, const std::string& words) {
    out << "<text x='" << x << "' y='" << y << "' " << style << ">" << escaped(words)
        << "</text>\n";
  };
  out << "<svg xmlns='http://www.w3.org/2000/svg' width='" << places + 680 << "' height='" << height
      << "' font-family='ui-monospace, monospace' font-size='14'>\n<rect width='100%' "
         "height='100%' fill='white'/>\n";
  for (std::size_t i = 0; i < story.threads.size(); ++i) {
    const int x = 50 + column * static_cast<int>(i);
    text(x, 30, "font-weight='bold'", story.threads[i]);
    out << "<line x1='" << x - 8 << "' x2='" << x - 8 << "' y1='40' y2='"
        << 44 + row * static_cast<int>(story.lines.size()) << "' stroke='#bbb'/>\n";
  }
  int y = 40;
  int number = 0;
  for (const Line& line : story.lines) {
    const int x = 50 + column * static_cast<int>(line.thread);
    out << "<circle cx='" << x - 8 << "' cy='" << (y += row) - 5 << "' r='4' fill='#06c'/>\n";
    text(4, y, "fill='#555'", std::to_string(++number));
    text(x, y, "", step(line));
    text(places, y, "fill='#555'", where(line.place) + "  " + fit(line.place.text, 60));
  }
  y += row;
  for (const Ending& ending : story.endings)
    text(42, y += row, "", ending.thread + ' ' + ending.state);
  y += row;
  std::istringstream sentences(story.sentence);
  for (std::string line; std::getline(sentences, line);)
    text(42, y += row, "font-weight='bold' fill='#b00'", line);
  out << "</svg>\n";
  return out.str();
}

}  // namespace explore
