#include "picture.hpp"
#include "tests/harness/cli.hpp"

#include <array>
#include <string_view>

namespace {

using std::to_string;

std::string_view name(State state) {
  constexpr std::array<std::string_view, 4> names{"connecting", "in_kernel", "accepted", "served"};
  return names.at(static_cast<std::size_t>(state));
}

std::string_view name(Fate fate) {
  constexpr std::array<std::string_view, 4> names{"answered", "lost", "refused", "left"};
  return names.at(static_cast<std::size_t>(fate));
}

std::string json(const ClientRecord& client) {
  std::string text = "{\"name\": " + json_string(client.name) + ", \"states\": [";
  for (const Change& change : client.changes) {
    text += &change == &client.changes.front() ? "" : ", ";
    text += "{\"at\": " + to_string(change.at.count()) + ", \"state\": ";
    text += json_string(name(change.to)) + '}';
  }
  text += "], \"end\": ";
  if (!client.end) return text + "null}";
  return text + "{\"at\": " + to_string(client.end->at.count()) +
         ", \"fate\": " + json_string(name(client.end->fate)) +
         ", \"text\": " + json_string(client.end->text) + "}}";
}

std::string json(const ServerRecord& server) {
  std::string text = "  {\"name\": " + json_string(server.name) +
                     ", \"summary\": " + json_string(summary(server)) +
                     ", \"disconnected\": " + to_string(server.disconnected) +
                     ", \"stderr\": " + json_string(server.said) + ", \"ended_at\": " +
                     (server.ending ? to_string(server.ending->at.count()) : "null") +
                     ", \"clients\": [";
  for (const ClientRecord& client : server.clients)
    text += (&client == &server.clients.front() ? "\n    " : ",\n    ") + json(client);
  return text + "\n  ]}";
}

}  // namespace

std::string draw_json(const Recording& recording) {
  const Scene& scene = recording.scene;
  std::string text =
      "{\"title\": " + json_string(title(scene)) + ", \"workers\": " + to_string(scene.workers) +
      ", \"sleep\": " + to_string(scene.sleep.count()) + ", \"happened_at\": " +
      (recording.happened ? to_string(recording.happened->count()) : "null") + ", \"servers\": [";
  for (const ServerRecord& server : recording.servers)
    text += (&server == &recording.servers.front() ? "\n" : ",\n") + json(server);
  return text + "\n]}\n";
}
