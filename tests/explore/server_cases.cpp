#include "cases.hpp"
#include "server.hpp"

namespace explore {

std::vector<Case> server_cases(const Module& module, int departures) {
  std::vector<Case> cases;
  for (const ServerScenario& scenario : server_scenarios()) {
    cases.push_back({scenario.name, scenario.title,
                     [&](Decider& decider) { run_server(module, scenario, decider); },
                     [&module, &scenario, departures] {
                       const ServerResult result = explore_server(module, scenario, departures);
                       return Result{result.runs, result.failure, result.order,
                                     -1,          true,           result.runs};
                     },
                     "", 0});
  }
  return cases;
}

}  // namespace explore
