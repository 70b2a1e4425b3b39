#include "search.hpp"

#include <algorithm>
#include <charconv>
#include <stdexcept>

namespace explore {

std::string to_text(const Order& order) {
  std::string text;
  for (const auto& [decision, choice] : order) {
    if (!text.empty()) text += ',';
    text += std::to_string(decision) + ':' + std::to_string(choice);
  }
  return text;
}

Order parse_order(std::string_view text) {
  Order order;
  const char* at = text.data();
  const char* const end = at + text.size();
  const auto number = [&](char before) {
    int value = 0;
    if (before != 0 && (at == end || *at++ != before)) throw std::invalid_argument("");
    const auto [rest, error] = std::from_chars(at, end, value);
    if (error != std::errc()) throw std::invalid_argument("");
    at = rest;
    return value;
  };
  try {
    while (at != end) {
      const int decision = number(order.empty() ? '\0' : ',');
      if (decision < 0 || (!order.empty() && decision <= order.rbegin()->first))
        throw std::invalid_argument("");
      order[decision] = number(':');
    }
  } catch (const std::invalid_argument&) {
    throw std::invalid_argument("an order looks like 14:2,20:1, not like '" + std::string(text) +
                                "'");
  }
  return order;
}

bool Path::advance() {
  depth_ = 0;
  while (!decisions_.empty() && decisions_.back().at + 1 == decisions_.back().size)
    decisions_.pop_back();
  if (decisions_.empty()) return false;
  ++decisions_.back().at;
  return true;
}

void Path::begin_again() {
  depth_ = 0;
  decisions_.clear();
}

const Path::Decision& Path::decide(const Decision& if_new) {
  if (depth_ == decisions_.size()) decisions_.push_back(if_new);
  const Decision& decision = decisions_[depth_++];
  if (decision.size != if_new.size || decision.options != if_new.options)
    world.fail(
        "not the same twice",
        "The program does not do the same again in the same order, so it looks at something else.");
  return decision;
}

bool Search::advance() {
  calls_ = switched_ = 0;
  sleeping_ = 0;
  order_.clear();
  return path_.advance();
}

Thread* Search::next(std::span<Thread* const> options, bool first_is_running) {
  const int call = calls_++;
  if (options.size() == 1 && (sleeping_ >> options[0]->id & 1) == 0) return options[0];
  if (first_is_running && switched_ == switches_) return options[0];
  Path::Decision decision{{}, 0, 0, sleeping_};
  for (const Thread* thread : options) {
    if ((sleeping_ >> thread->id & 1) == 0)
      decision.options[decision.size++] = static_cast<std::uint8_t>(thread->id);
  }
  if (decision.size == 0) return nullptr;
  decision = path_.decide(decision);
  if (sleeps_) {
    sleeping_ = decision.marked;
    for (std::size_t i = 0; i < decision.at; ++i) sleeping_ |= 1U << decision.options[i];
  }
  Thread* const chosen = &world.threads[decision.options[decision.at]];
  if (chosen != options[0]) order_[call] = static_cast<int>(chosen->id);
  if (chosen != options[0] && first_is_running) ++switched_;
  return chosen;
}

int Search::which(int count) {
  const int call = calls_++;
  const Path::Decision& decision = path_.decide({{}, static_cast<std::uint8_t>(count), 0, 0});
  if (decision.at > 0) order_[call] = decision.at;
  return decision.at;
}

void Search::passed(const Thread& thread, const Step& step) {
  if (sleeping_ == 0) return;
  for (std::size_t i = 0; i < world.count; ++i) {
    if ((sleeping_ >> i & 1) != 0 && (i == thread.id || depend(world.threads[i].next, step)))
      sleeping_ &= ~(1U << i);
  }
}

int Replay::decided(int usual) {
  const auto found = order_.find(calls_++);
  return found == order_.end() ? usual : found->second;
}

Thread* Replay::next(std::span<Thread* const> options, bool) {
  const auto id = static_cast<std::size_t>(decided(static_cast<int>(options[0]->id)));
  const auto chosen = std::ranges::find(options, id, &Thread::id);
  if (chosen == options.end())
    world.fail("does not fit", "This order is not one of this program: there thread " +
                                   std::to_string(id) + " cannot go on.");
  return *chosen;
}

int Replay::which(int count) {
  const int choice = decided(0);
  if (choice >= count)
    world.fail("does not fit", "This order is not one of this program: there are no " +
                                   std::to_string(choice + 1) + " things that could happen.");
  return choice;
}

}  // namespace explore
