#include "exec/cpu/collective_call.h"

#include <string_view>
#include <type_traits>

namespace exec {
namespace {

static_assert(std::has_unique_object_representations_v<CollectiveCall>, "sent as bytes");

std::string_view name(CollectiveKind kind) {
  constexpr std::string_view kNames[] = {"all_reduce", "all_gather", "reduce_scatter", "all_to_all",
                                         "broadcast",  "send/recv",  "barrier"};
  return kNames[static_cast<int>(kind)];
}

bool match(const CollectiveCall& a, const CollectiveCall& b) {
  return a.group == b.group && a.number == b.number && a.kind == b.kind && a.count == b.count && a.root == b.root &&
         a.dtype == b.dtype && a.reduction == b.reduction && a.deterministic == b.deterministic;
}

}  // namespace

std::string describe(const CollectiveCall& call, const std::string& group_name) {
  std::string text(name(call.kind));
  if (call.reduces()) {
    text += call.reduction == Reduction::sum ? " (sum" : " (max";
    text += call.deterministic != 0 ? ", deterministic)" : ")";
  }
  if (call.kind != CollectiveKind::barrier)
    text += " of " + std::to_string(call.count) + " " + std::string(hw::name(static_cast<hw::DType>(call.dtype)));
  if (call.root >= 0) text += " from root " + std::to_string(call.root);
  return text + " as call " + std::to_string(call.number) + " of group " + group_name;
}

void check_match(const CollectiveCall& own, const CollectiveCall& peer, const std::string& group_name) {
  if (match(own, peer)) return;
  const bool same_group = own.group == peer.group;
  throw CollectiveMismatch("rank " + std::to_string(own.rank) + " calls " + describe(own, group_name) + ", rank " +
                           std::to_string(peer.rank) + " calls " +
                           describe(peer, same_group ? group_name : "number " + std::to_string(peer.group)));
}

}  // namespace exec
