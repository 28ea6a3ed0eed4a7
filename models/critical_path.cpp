#include "models/critical_path.h"

#include <algorithm>
#include <array>
#include <boost/graph/adjacency_list.hpp>
#include <boost/graph/topological_sort.hpp>
#include <cassert>
#include <iterator>

namespace models {
namespace {

using Graph = boost::adjacency_list<boost::vecS, boost::vecS, boost::bidirectionalS>;

Graph graph_of(const std::vector<Op>& ops) {
  Graph graph(ops.size());
  std::array<int, kStreams> last;
  last.fill(-1);
  for (std::size_t i = 0; i < ops.size(); ++i) {
    for (const std::int16_t need : ops[i].needs) boost::add_edge(static_cast<std::size_t>(need), i, graph);
    int& before = last[static_cast<std::size_t>(ops[i].stream)];
    if (before >= 0) boost::add_edge(static_cast<std::size_t>(before), i, graph);
    before = static_cast<int>(i);
  }
  return graph;
}

}  // namespace

CriticalPath critical_path(const std::vector<Op>& ops, std::span<const hw::Seconds> times) {
  assert(times.size() == ops.size());
  CriticalPath path;
  if (ops.empty()) return path;
  const Graph graph = graph_of(ops);
  std::vector<std::size_t> order;  // consumers first
  boost::topological_sort(graph, std::back_inserter(order));
  std::vector<hw::Seconds> end(ops.size());
  std::vector<int> before(ops.size(), -1);
  for (auto op = order.rbegin(); op != order.rend(); ++op) {
    for (auto [edge, last] = boost::in_edges(*op, graph); edge != last; ++edge) {
      const std::size_t need = boost::source(*edge, graph);
      if (before[*op] >= 0 && end[need] <= end[static_cast<std::size_t>(before[*op])]) continue;
      before[*op] = static_cast<int>(need);
    }
    const hw::Seconds ready = before[*op] >= 0 ? end[static_cast<std::size_t>(before[*op])] : hw::Seconds{};
    end[*op] = ready + times[*op];
  }
  auto op = static_cast<int>(std::max_element(end.begin(), end.end()) - end.begin());
  path.length = end[static_cast<std::size_t>(op)];
  for (; op >= 0; op = before[static_cast<std::size_t>(op)]) path.ops.push_back(op);
  std::reverse(path.ops.begin(), path.ops.end());
  return path;
}

}  // namespace models
