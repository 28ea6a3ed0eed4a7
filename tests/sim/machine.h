#pragma once

#include <string>

#include "hw/cluster.h"
#include "hw/efficiency.h"
#include "hw/node.h"

/// A machine as the profile of operator tables knows it, for tests of prices.
struct Machine {
  hw::Cluster cluster;
  hw::Efficiency efficiency;
};

/// Operator tables are bursts of one kernel: they are compared with the curves alone at full clock.
inline Machine burst_machine(const std::string& name) {
  const std::string root = STEPCAST_SOURCE_DIR;
  Machine machine{hw::parse_cluster(hw::Node::read_file(root + "/hw/" + name + ".json")), {}};
  machine.efficiency =
      hw::parse_efficiency(hw::Node::read_file(root + "/calibration/profiles/tables.json"), machine.cluster);
  machine.efficiency.sustained = 1;
  return machine;
}
