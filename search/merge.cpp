// Answers of shards, read back from JSON, as one answer.
#include <algorithm>
#include <set>
#include <string>

#include "search/answer.h"
#include "search/rows.h"

namespace search {
namespace {

using hw::Node;

/// A row's layout as the closed form saw it.
struct Read {
  Node description;
  Candidate candidate;
};

Candidate candidate_of(const Node& row, const Query& query, models::Library& library) {
  const models::Run run = models::parse_run(row.at("run"), library, false);
  const models::Layout& l = run.layout;
  const Node place = row.at("place");
  const std::vector<Node> numbers = place.elements();
  if (numbers.size() != 2) place.fail("must be two numbers");
  Candidate candidate{.keys = {.gpus = l.gpus},
                      .time = {row.at("closed_form_s").positive()},
                      .peak = {row.at("closed_form_peak_bytes").positive()},
                      .score = {},
                      .group = numbers[0].non_negative_int(),
                      .place = numbers[1].non_negative_int()};
  const Judge judge(query, run.cluster, l.gbs, l.seq_len);
  candidate.score = judge.score(l.gpus, candidate.time, candidate.peak);
  return candidate;
}

/// The best so many of one list of all answers, in the order of the closed form.
std::vector<Read> read_list(const std::vector<Node>& answers, const char* list, const Query& query,
                            models::Library& library) {
  std::vector<Read> all;
  for (const Node& answer : answers)
    for (const Node& row : answer.at(list).elements())
      all.push_back({row.at("run"), candidate_of(row, query, library)});
  std::ranges::sort(all, [](const Read& a, const Read& b) {
    return std::tie(a.candidate.score, a.candidate.group, a.candidate.place) <
           std::tie(b.candidate.score, b.candidate.group, b.candidate.place);
  });
  return all;
}

std::vector<Row> rows_of(const std::vector<Read>& reads, std::size_t most, RowMaker& maker) {
  std::vector<Row> rows;
  for (const Read& read : reads) {
    if (rows.size() == most) break;
    rows.push_back(maker.row(read.description, read.candidate));
  }
  return rows;
}

/// Of the fronts' members those that no other beats.
std::vector<Read> front_of(const std::vector<Read>& reads) {
  Front front;
  for (const Read& read : reads) front.add(read.candidate);
  std::vector<Read> members;
  for (const Candidate& member : front.members()) {
    const auto read = std::ranges::find_if(reads, [&](const Read& each) {
      return each.candidate.group == member.group && each.candidate.place == member.place;
    });
    members.push_back(*read);
  }
  return members;
}

void add_counts(const Node& node, Answer& answer) {
  const auto count = [&](const char* key) { return static_cast<std::int64_t>(node.at(key).non_negative()); };
  answer.counts.add({.legal = count("legal"),
                     .timed = count("timed"),
                     .pruned = count("pruned"),
                     .too_large = count("too_large"),
                     .too_slow = count("too_slow")});
  answer.groups += count("groups");
  answer.groups_done += count("groups_done");
}

/// Each shard once.
void check_shards(const std::vector<Node>& answers) {
  std::set<int> seen;
  const int of = answers.front().at("shard").at("of").positive_int();
  for (const Node& answer : answers) {
    const Node shard = answer.at("shard");
    if (shard.at("of").positive_int() != of) shard.fail("must be a shard of " + std::to_string(of));
    if (!seen.insert(shard.at("index").positive_int()).second) shard.fail("must not be merged twice");
    if (answer.at("query").dump() != answers.front().at("query").dump())
      answer.at("query").fail("must be the query of " + answers.front().file());
  }
  if (static_cast<int>(seen.size()) != of)
    answers.front().at("shard").fail("must come with all other shards, " + std::to_string(seen.size()) + " of " +
                                     std::to_string(of) + " are there");
}

}  // namespace

Answer merge(const std::vector<Node>& answers, models::Library& library, const Node& profile) {
  check_shards(answers);
  const Query query = parse_query(answers.front().at("query"), library);
  RowMaker maker(query, library, profile);
  const auto read = [&](const char* list) { return read_list(answers, list, query, library); };
  Answer answer{.query = query,
                .rows = rows_of(read("layouts"), static_cast<std::size_t>(query.rerank), maker),
                .front = rows_of(front_of(read("front")), SIZE_MAX, maker),
                .misses = rows_of(read("misses"), kMisses, maker)};
  for (const Node& each : answers) add_counts(each.at("counts"), answer);
  finish(answer, maker);
  return answer;
}

}  // namespace search
