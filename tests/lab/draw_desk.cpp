#include "picture.hpp"

#include <algorithm>
#include <iterator>
#include <map>

using namespace std::chrono_literals;

namespace {

constexpr std::size_t min_columns = 80;
constexpr std::size_t min_rows = 24;
constexpr std::size_t beside_columns = 100;  // for two servers, with as much of each as of one
constexpr std::size_t beside_rows = 30;

// What is drawn, and how large.
struct Frame {
  const Recording& recording;
  const ServerRecord& server;
  Time at;
  std::size_t width;
  std::size_t rows;

  bool is_narrow() const { return width < 70; }
  bool has_ended() const { return server.ending && server.ending->at <= at; }
  // nullptr: there is nothing to be seen of it.
  const Snapshot* seen() const {
    const Snapshot* const last = has_ended() ? nullptr : server.look(at);
    return last == nullptr || last->threads.empty() ? nullptr : last;
  }
};

using Lines = std::vector<Line>;

Line rule(std::string_view title, std::size_t width) {
  return Line("-- ").add(title, Ink::bold).add(" ").fit(width, '-');
}

// "~5" is an inference of ours: the kernel knows no client 5 behind a worker.
Line inferred(std::size_t client) { return Line('~' + std::to_string(client + 1), Ink::inferred); }

Ink ink_of(const Exit& exit) { return exit.with(0) ? Ink::green : Ink::red; }

// "stage3, pid 42, port 7878", and its end if that has come. What does not fit is left out whole:
// half a number would be another one.
Line head(const Frame& frame) {
  const ServerRecord& server = frame.server;
  Line line("-- ");
  line.add(server.name, Ink::bold);
  if (frame.has_ended()) {
    line.add(": ").add(server.ending->exit.text(), ink_of(server.ending->exit));
    return line.add(" ").fit(frame.width, '-');
  }
  std::vector<std::string> facts{"pid " + std::to_string(server.pid),
                                 "port " + std::to_string(server.port)};
  if (const Snapshot* const seen = frame.seen())
    facts.push_back(std::to_string(seen->resident) + " MB of " + std::to_string(seen->mapped) +
                    " MB mapped");
  for (const std::string& fact : facts) {
    if (line.width() + fact.size() + 3 <= frame.width) line.add(", " + fact);
  }
  return line.add(" ").fit(frame.width, '-');
}

std::string one_decimal(Time time) {
  const auto tenths = std::max<std::int64_t>(time / 100ms, 0);
  return std::to_string(tenths / 10) + '.' + std::to_string(tenths % 10);
}

// How much of its /sleep is left, if we know who sleeps there.
std::string time_left(const Frame& frame, const Doing& doing) {
  if (!doing.sleeps || !doing.client) return "";
  const auto& changes = frame.server.clients.at(*doing.client).changes;
  const auto served = std::ranges::find(changes, State::served, &Change::to);
  if (served == changes.end()) return "";
  return ", " + one_decimal(served->at + frame.recording.sleep - frame.at) +
         (frame.is_narrow() ? " s" : " s left");
}

Line thread_line(const Frame& frame, const Doing& doing) {
  Line line(doing.thread);
  line.pad_to(9).add(doing.what + time_left(frame, doing));
  return doing.client ? line.add(" ").add(inferred(*doing.client)) : line;
}

Line jobs_line(const Snapshot& look, std::size_t width) {
  Line line("job queue ");
  line.add(std::to_string(look.jobs.size()), Ink::inferred);
  for (const std::size_t client : look.jobs) {
    if (line.width() + 6 > width) return line.add(" ...");
    line.add(" ").add(inferred(client));
  }
  return line;
}

// Each thread, or if there are too many, how many do the same.
Lines thread_lines(const Frame& frame, const Snapshot& look, std::size_t rows) {
  Lines lines;
  if (look.threads.size() <= rows) {
    for (const Doing& doing : look.threads) lines.push_back(thread_line(frame, doing));
    return lines;
  }
  std::map<std::string, std::size_t> counts;
  for (const Doing& doing : std::span(look.threads).subspan(1)) ++counts[doing.what];
  lines.push_back(thread_line(frame, look.threads.front()));
  for (const auto& [what, count] : counts)
    lines.push_back(Line(std::to_string(count) + (count == 1 ? " thread: " : " threads: ") + what));
  return lines;
}

Lines server_lines(const Frame& frame, const Snapshot& look, std::size_t width, std::size_t rows) {
  Lines lines;
  if (frame.server.has_pool) lines.push_back(jobs_line(look, width));
  Lines threads = thread_lines(frame, look, rows - lines.size());
  // The job queue lies between who fills and who empties it.
  lines.insert(lines.begin(), threads.front());
  lines.insert(lines.end(), std::next(threads.begin()), threads.end());
  return lines;
}

std::string queue_text(const Snapshot& look, bool narrow) {
  if (!look.queue) return "port closed";
  const std::string limit =
      look.queue->limit == 0 ? "" : " of " + std::to_string(look.queue->limit);
  return (narrow ? "queue " : "accept queue: ") + std::to_string(look.queue->length) + limit;
}

Lines kernel_lines(const Frame& frame, const Snapshot& look, std::size_t rows) {
  const bool narrow = frame.is_narrow();
  Lines lines{Line(queue_text(look, narrow))};
  const std::size_t all =
      look.queue ? std::max(look.queue->length, look.waiting.size()) : look.waiting.size();
  for (std::size_t i = 0; i < look.waiting.size(); ++i) {
    if (lines.size() + 1 == rows && all > i + 1) {
      lines.push_back(Line("  and " + std::to_string(all - i) + " more"));
      break;
    }
    const Waiting& waiting = look.waiting[i];
    Line line("  " + std::to_string(waiting.client + 1));
    if (!narrow) line.add(" ").add(meaning(frame.server.clients.at(waiting.client).kind));
    lines.push_back(line.add(", " + std::to_string(waiting.unread) + " B unread"));
  }
  return lines;
}

// The kernel left of the line called accept(2), the server right of it.
Lines tables(const Frame& frame, std::size_t rows) {
  const std::size_t middle = frame.width / 3;
  const Snapshot* const seen = frame.seen();
  const Lines left = kernel_lines(frame, seen == nullptr ? Snapshot{} : *seen, rows - 1);
  const Lines right =
      seen == nullptr ? Lines{} : server_lines(frame, *seen, frame.width - middle - 3, rows - 1);
  Lines lines{
      Line(" KERNEL").put(middle - 5, "| accept(2) |", Ink::bold).add("  SERVER").fit(frame.width)};
  for (std::size_t row = 0; row + 1 < rows; ++row) {
    Line line(" ");
    if (row < left.size()) line.add(left[row]);
    line.fit(middle + 1).add("|", Ink::bold).add(" ");
    if (row < right.size()) line.add(right[row]);
    lines.push_back(line.fit(frame.width));
  }
  return lines;
}

// "1-5 9": as many as fit into `width`.
std::string ranges(const std::vector<Waiting>& waiting, std::size_t width) {
  std::string text;
  for (auto first = waiting.begin(); first != waiting.end();) {
    const auto gap = [](const Waiting& a, const Waiting& b) { return a.client + 1 != b.client; };
    auto last = std::adjacent_find(first, waiting.end(), gap);
    if (last == waiting.end()) --last;
    std::string range = ' ' + std::to_string(first->client + 1);
    if (last != first) range += '-' + std::to_string(last->client + 1);
    if (text.size() + range.size() + 4 > width) return text + " ...";
    text += range;
    first = std::next(last);
  }
  return text;
}

// The same in two lines.
Lines small_tables(const Frame& frame) {
  const Snapshot* const seen = frame.seen();
  if (seen == nullptr) return {Line(" port closed")};
  Line first(' ' + queue_text(*seen, false));
  first.add(ranges(seen->waiting, 34 - first.width()));
  first.pad_to(34).add(" |accept(2)| ", Ink::bold).add("main ").add(seen->threads.front().what);
  Line second(" ");
  if (frame.server.has_pool) second.add(jobs_line(*seen, 30)).pad_to(36);
  std::map<std::string, Lines> same;  // those who do the same, with their clients
  for (const Doing& doing : std::span(seen->threads).subspan(1)) {
    if (doing.thread != "watch")
      same[doing.what].push_back(doing.client ? inferred(*doing.client) : Line());
  }
  for (const auto& [what, clients] : same) {
    second.add(std::to_string(clients.size()) + ' ' + what);
    for (const Line& client : clients) second.add(clients.size() > 4 ? "" : " ").add(client);
    second.add("  ");
  }
  return {first, second};
}

constexpr std::size_t names_width = 14;

std::size_t outcome_width(const Frame& frame) { return frame.is_narrow() ? 12 : 26; }

// Cells of a client's line.
std::size_t room(const Frame& frame) {
  return frame.width - names_width - outcome_width(frame) - 2;
}

// So that three times /sleep fit between the names and the outcomes.
Time cell_length(const Frame& frame) {
  const Time wanted = frame.recording.sleep * 3 / static_cast<int>(room(frame));
  for (const Time length : {50ms, 100ms, 150ms, 200ms, 250ms, 500ms}) {
    if (length >= wanted) return length;
  }
  return 1000ms;
}

std::string outcome_text(const Frame& frame, std::size_t client) {
  const ClientRecord& record = frame.server.clients[client];
  if (!frame.is_narrow() || record.batch > 1 || !record.end)
    return outcome(frame.recording, frame.server, client, frame.at);
  return std::string(record.end->at <= frame.at ? meaning(record.end->fate) : "");
}

// The newest clients, the time running to the left; what is over moves out of it.
Lines client_lines(const Frame& frame, std::size_t rows) {
  const Time length = cell_length(frame);
  std::vector<std::size_t> shown;
  const auto& clients = frame.server.clients;
  for (std::size_t i = 0; i < clients.size(); i = next_row(frame.server, i)) {
    if (clients[i].changes.front().at <= frame.at) shown.push_back(i);
  }
  Lines lines;
  if (shown.size() > rows) {
    const auto hidden = static_cast<std::ptrdiff_t>(shown.size() - rows + 1);
    shown.erase(shown.begin(), shown.begin() + hidden);
    lines.push_back(
        Line(" and " + std::to_string(hidden) + " lines before", Ink::dim).fit(frame.width));
  }
  // Whole cells, so that the picture moves by one at a time.
  const Time now = frame.at / length * length + length;
  const auto cells = static_cast<int>(room(frame));
  for (const std::size_t client : shown) {
    Line line(' ' + name(frame.server, client));
    line.pad_to(names_width);
    for (int i = 1; i <= cells; ++i) {
      const Time start = now - (cells - i + 1) * length;
      const Time at = std::min(start + length, frame.at);
      const Symbol sign = symbol(cell(frame.server, client, at, at - start));
      line.add({&sign.symbol, 1}, sign.ink);
    }
    line.add("| ").add(outcome_text(frame, client));
    lines.push_back(line.fit(frame.width));
  }
  return lines;
}

Lines said_lines(const Frame& frame, std::size_t rows) {
  Lines lines;
  const auto& said = frame.server.said;
  const auto end = std::ranges::upper_bound(said, frame.at, {}, &Said::at);
  const auto count =
      std::min<std::ptrdiff_t>(end - said.begin(), static_cast<std::ptrdiff_t>(rows));
  for (auto line = end - count; line != end; ++line)
    lines.push_back(Line(line->on_stderr ? " err " : " out ", Ink::dim)
                        .add(line->line, line->on_stderr ? Ink::red : Ink::plain)
                        .fit(frame.width));
  return lines;
}

void append(Lines& lines, Lines more, std::size_t rows, std::size_t width) {
  more.resize(rows);
  for (Line& line : more) lines.push_back(std::move(line.fit(width)));
}

Lines panel(const Frame& frame) {
  const std::size_t tables_rows = std::min(frame.recording.workers + 4, frame.rows / 3 + 1);
  const std::size_t said_rows = frame.rows > 24 ? 5 : 4;
  const std::size_t client_rows = frame.rows - 3 - tables_rows - said_rows;
  Lines lines{head(frame)};
  append(lines, tables(frame, tables_rows), tables_rows, frame.width);
  const std::string title = "CLIENTS, a cell is " + seconds(cell_length(frame)) + " s";
  lines.push_back(rule(title, names_width + room(frame) - 4).add(" now |").fit(frame.width, '-'));
  append(lines, client_lines(frame, client_rows), client_rows, frame.width);
  lines.push_back(rule("OUTPUT", frame.width));
  append(lines, said_lines(frame, said_rows), said_rows, frame.width);
  return lines;
}

Lines small_panel(const Frame& frame) {
  const std::size_t client_rows = frame.rows - 4;
  Lines lines{head(frame)};
  append(lines, small_tables(frame), 2, frame.width);
  append(lines, client_lines(frame, client_rows), client_rows, frame.width);
  append(lines, said_lines(frame, 1), 1, frame.width);
  return lines;
}

// What is played, the signals of late, and the time. The signals matter most.
Line top(const Recording& recording, Time at, std::size_t width) {
  const std::string rest =
      "  /sleep " + seconds(recording.sleep) + " s  " + one_decimal(at) + " s ";
  const std::size_t room = width - rest.size();
  Line signals;
  for (auto mark = recording.marks.rbegin(); mark != recording.marks.rend(); ++mark) {
    if (mark->at > at) continue;
    const Line one = Line("  " + mark->name, Ink::red).add(" at " + one_decimal(mark->at) + " s");
    if (one.width() + signals.width() + 2 > room) break;
    signals = Line(one).add(signals);
  }
  Line line(recording.title.empty() ? " The lab" : ' ' + heading(recording), Ink::bold);
  if (line.width() + signals.width() > room) line.fit(room - signals.width());
  return line.add(signals).fit(room).add(rest);
}

}  // namespace

bool has_room(const Size& size) { return size.columns >= min_columns && size.rows >= min_rows; }

std::vector<Line> draw_desk(const Recording& recording, Time at, const Size& size,
                            std::string_view hint) {
  const std::size_t width = size.columns;
  const std::size_t rows = size.rows - 2;
  Lines lines{top(recording, at, width)};
  const auto& servers = recording.servers;
  if (servers.size() < 2) {
    for (const ServerRecord& server : servers)
      append(lines, panel({recording, server, at, width, rows}), rows, width);
  } else if (width >= beside_columns && size.rows >= beside_rows) {
    const std::size_t half = (width - 1) / 2;
    const Lines left = panel({recording, servers[0], at, half, rows});
    const Lines right = panel({recording, servers[1], at, half, rows});
    for (std::size_t row = 0; row < rows; ++row)
      lines.push_back(Line(left[row]).add("|", Ink::dim).add(right[row]).fit(width));
  } else {
    for (const ServerRecord& server : servers)
      append(lines, small_panel({recording, server, at, width, rows / 2}), rows / 2, width);
  }
  lines.resize(size.rows - 1);
  lines.push_back(Line(hint).fit(width));
  return lines;
}
