#include "hw/node.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "hw/input_error.h"

namespace {

using hw::Node;

std::string refusal(const std::function<void()>& action) {
  try {
    action();
  } catch (const hw::InputError& error) {
    return error.what();
  }
  return "accepted";
}

std::string parse_refusal(const std::string& text) {
  return refusal([&text] { Node::parse(text, "x.json"); });
}

/// A file that lives as long as the test.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& text) {
    // The name of the test keeps parallel runs apart.
    const std::string test = testing::UnitTest::GetInstance()->current_test_info()->name();
    path_ = std::filesystem::temp_directory_path() / ("stepcast_node_" + test + ".json");
    std::ofstream(path_, std::ios::binary) << text;
  }
  ~TemporaryFile() { std::filesystem::remove(path_); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

TEST(NodeSyntax, RefusalsNamePlaceAndFault) {
  EXPECT_EQ(parse_refusal(""), "x.json: is empty");
  EXPECT_EQ(parse_refusal(" \n\t"), "x.json: is empty");
  EXPECT_EQ(parse_refusal("\xef\xbb\xbf"), "x.json: is empty");
  EXPECT_EQ(parse_refusal("{"), "x.json: line 1, column 2: unexpected end of input, expected string literal");
  EXPECT_EQ(parse_refusal("{\n  \"tp\": 8"), "x.json: line 2, column 10: unexpected end of input, expected '}'");
  EXPECT_EQ(parse_refusal("{\"tp\": 8}\n}"), "x.json: line 2, column 1: unexpected '}', expected end of input");
  EXPECT_EQ(parse_refusal("[1,\n2,\n]"), "x.json: line 3, column 1: unexpected ']', expected '[', '{', or a literal");
  EXPECT_EQ(parse_refusal("{'tp': 8}"), "x.json: line 1, column 2: invalid literal, got '");
  EXPECT_EQ(parse_refusal("[NaN]"), "x.json: line 1, column 2: invalid literal, got NaN");
  EXPECT_EQ(parse_refusal("[Infinity]"), "x.json: line 1, column 2: invalid literal, got Infinity");
  EXPECT_EQ(parse_refusal("[-Infinity]"), "x.json: line 1, column 3: invalid number, expected digit after '-', got -I");
  EXPECT_EQ(parse_refusal("[true, flase]"), "x.json: line 1, column 8: invalid literal, got flase");
  EXPECT_EQ(parse_refusal("[1, // one"), "x.json: line 1, column 5: invalid literal, got /");
  EXPECT_EQ(parse_refusal("[tru"), "x.json: line 1, column 2: invalid literal, got tru");
  EXPECT_EQ(parse_refusal("[1e999]"), "x.json: line 1, column 6: number is out of range, got 1e999");
  EXPECT_EQ(parse_refusal("[-1e999]"), "x.json: line 1, column 7: number is out of range, got -1e999");
}

TEST(NodeSyntax, ColumnsCountCharactersAndBytesAreShown) {
  // Before the fault stand `["`, e acute (two bytes, one character) and `",`.
  EXPECT_EQ(parse_refusal("[\"\xc3\xa9\",x]"), "x.json: line 1, column 6: invalid literal, got x");
  EXPECT_EQ(parse_refusal("[\"\xff\"]"),
            "x.json: line 1, column 3: invalid string: ill-formed UTF-8 byte, got \"\\xff");
  EXPECT_EQ(parse_refusal("[\"" + std::string(100, 'a')),
            "x.json: line 1, column 103: invalid string: missing closing quote, got \"" + std::string(56, 'a') + "...");
  EXPECT_EQ(parse_refusal(std::string("{}\0{}", 5)), "x.json: line 1, column 3: NUL byte");
}

TEST(NodeSyntax, ByteOrderMarkIsSkipped) {
  EXPECT_EQ(Node::parse("\xef\xbb\xbf{\"tp\": 2}", "x.json").at("tp").positive_int(), 2);
}

TEST(NodeSyntax, DuplicateKeysAreRefusedAtAnyDepth) {
  EXPECT_EQ(parse_refusal(R"({"tp": 1, "tp": 2})"), "x.json: /tp: duplicate key");
  EXPECT_EQ(parse_refusal(R"({"a": [0, {"b": {}, "c/d": 1, "c\u002fd": 2}]})"), "x.json: /a/1/c~1d: duplicate key");
  EXPECT_EQ(parse_refusal(R"([{"tp": 1}, {"tp": 2}])"), "accepted");  // different objects
  EXPECT_EQ(parse_refusal(R"({"a": {"tp": 1}, "tp": 2})"), "accepted");
}

TEST(NodeSyntax, NestingBeyond64IsRefused) {
  EXPECT_EQ(parse_refusal(std::string(64, '[') + std::string(64, ']')), "accepted");
  std::string pointer;  // the first 57 characters of 64 times "/0"
  for (int i = 0; i < 28; ++i) pointer += "/0";
  std::string ten_million;
  ten_million.resize(10'000'000, '[');
  const std::string expected = "x.json: " + pointer + "/...: must not nest deeper than 64";
  EXPECT_EQ(parse_refusal(std::string(65, '[') + std::string(65, ']')), expected);
  EXPECT_EQ(parse_refusal(ten_million), expected);
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"\":";
  EXPECT_NE(parse_refusal(objects).find("must not nest deeper than 64"), std::string::npos);
}

TEST(NodeSyntax, ManyKeysDoNotTakeQuadraticTime) {
  std::string text = "{";
  for (int i = 0; i < 200'000; ++i) text += (i == 0 ? "\"k" : ",\"k") + std::to_string(i) + "\":1";
  EXPECT_EQ(Node::parse(text + "}", "x.json").keys().size(), 200'000U);
}

TEST(NodeFile, UnreadableFilesAreRefused) {
  const auto read = [](const std::filesystem::path& path) { return refusal([&path] { Node::read_file(path); }); };
  EXPECT_EQ(read("no/such.json"), "no/such.json: no such file");
  EXPECT_EQ(read("/"), "/: is a directory, not a file");
  EXPECT_EQ(read("/dev/null"), "/dev/null: is empty");
  const TemporaryFile empty("");
  EXPECT_EQ(read(empty.path()), empty.path().string() + ": is empty");
}

TEST(NodeFile, FilesOver64MiBAreRefused) {
  // /dev/zero never ends: reading must stop by itself.
  EXPECT_EQ(refusal([] { Node::read_file("/dev/zero"); }), "/dev/zero: must not be larger than 64 MiB");
}

TEST(NodeFile, ErrorsNameTheFile) {
  const TemporaryFile file(R"({"parallel": {"tp": -1}})");
  const Node node = Node::read_file(file.path());
  EXPECT_EQ(node.file(), file.path().string());
  EXPECT_EQ(refusal([&node] { node.at("parallel").at("tp").positive_int(); }),
            file.path().string() + ": /parallel/tp: must be a positive integer, got -1");
}

TEST(NodeLines, BlankLinesCrLfAndMissingLastNewline) {
  const TemporaryFile file(
      "\xef\xbb\xbf{\"tp\": 1}\r\n\r\n  \n{\"tp\": -1}\n{\"tp\" 3}\n\n{\"tp\": 2, \"tp\": 3}\n{\"tp\": 4}");
  const std::string path = file.path().string();
  const std::vector<Node::Line> lines = Node::read_lines(file.path());
  ASSERT_EQ(lines.size(), 5U);
  EXPECT_EQ(lines[0].number, 1);
  EXPECT_EQ(lines[0].node->at("tp").positive_int(), 1);
  EXPECT_EQ(lines[1].number, 4);
  EXPECT_EQ(refusal([&lines] { lines[1].node->at("tp").positive_int(); }),
            path + ":4: /tp: must be a positive integer, got -1");
  EXPECT_FALSE(lines[2].node.has_value());
  EXPECT_EQ(lines[2].error, path + ":5: column 7: unexpected number literal, expected ':'");
  EXPECT_EQ(lines[3].error, path + ":7: /tp: duplicate key");
  EXPECT_EQ(lines[4].number, 8);
  EXPECT_EQ(lines[4].node->at("tp").positive_int(), 4);
  EXPECT_EQ(refusal([] { Node::read_lines("no/such.jsonl"); }), "no/such.jsonl: no such file");
}

TEST(NodeLines, EmptyFileHasNoLines) {
  const TemporaryFile file("");
  EXPECT_TRUE(Node::read_lines(file.path()).empty());
}

TEST(NodeNumbers, IntegersAreExactAndInRange) {
  const Node node = Node::parse(R"({"eight": 8.0, "half": 8.5, "zero": 0, "negative": -1, "yes": true, "text": "8",
    "largest": 2147483647, "larger": 2147483648, "huge": 1e300, "long": 99999999999999999999, "minus": -1e300,
    "exact": 9007199254740992, "inexact": 9007199254740993})",
                                "x.json");
  const auto positive = [&node](const char* key) { return refusal([&] { node.at(key).positive_int(); }); };
  EXPECT_EQ(node.at("eight").positive_int(), 8);
  EXPECT_EQ(node.at("largest").positive_int(), 2147483647);
  EXPECT_EQ(node.at("zero").non_negative_int(), 0);
  EXPECT_EQ(positive("half"), "x.json: /half: must be a positive integer, got 8.5");
  EXPECT_EQ(positive("zero"), "x.json: /zero: must be a positive integer, got 0");
  EXPECT_EQ(positive("yes"), "x.json: /yes: must be a positive integer, got true");
  EXPECT_EQ(positive("text"), "x.json: /text: must be a positive integer, got \"8\"");
  EXPECT_EQ(positive("minus"), "x.json: /minus: must be a positive integer, got -1e+300");
  EXPECT_EQ(positive("larger"), "x.json: /larger: must be an integer from 1 to 2147483647, got 2147483648");
  EXPECT_EQ(positive("huge"), "x.json: /huge: must be an integer from 1 to 2147483647, got 1e+300");
  EXPECT_EQ(positive("long"), "x.json: /long: must be an integer from 1 to 2147483647, got 1e+20");
  EXPECT_EQ(refusal([&node] { node.at("negative").non_negative_int(); }),
            "x.json: /negative: must be a non-negative integer, got -1");
  EXPECT_EQ(node.at("exact").positive_int64(), 9007199254740992);
  EXPECT_EQ(refusal([&node] { node.at("inexact").positive_int64(); }),
            "x.json: /inexact: must be an integer from 1 to 9007199254740992, got 9007199254740993");
}

TEST(NodeNumbers, RangesOfDoubles) {
  const Node node = Node::parse(R"([-0.5, 0, 0.25, 1, 1.5, false])", "x.json");
  const std::vector<Node> e = node.elements();
  EXPECT_EQ(e[0].number(), -0.5);
  EXPECT_EQ(e[1].non_negative(), 0);
  EXPECT_EQ(e[2].fraction(), 0.25);
  EXPECT_EQ(e[3].fraction(), 1);
  EXPECT_EQ(e[4].positive(), 1.5);
  EXPECT_EQ(refusal([&e] { e[0].non_negative(); }), "x.json: /0: must be a non-negative number, got -0.5");
  EXPECT_EQ(refusal([&e] { e[1].positive(); }), "x.json: /1: must be a positive number, got 0");
  EXPECT_EQ(refusal([&e] { e[1].fraction(); }), "x.json: /1: must be a number above 0 and at most 1, got 0");
  EXPECT_EQ(refusal([&e] { e[4].fraction(); }), "x.json: /4: must be a number above 0 and at most 1, got 1.5");
  EXPECT_EQ(refusal([&e] { e[5].number(); }), "x.json: /5: must be a number, got false");
}

TEST(NodeMembers, AbsentAndNullAreTheSame) {
  const Node node = Node::parse(R"({"tp": null, "pp": 2})", "x.json");
  EXPECT_FALSE(node.has("tp"));
  EXPECT_FALSE(node.has("cp"));
  EXPECT_TRUE(node.has("pp"));
  EXPECT_FALSE(node.find("tp").has_value());
  EXPECT_EQ(refusal([&node] { node.at("tp"); }), "x.json: /: missing key \"tp\"");
  EXPECT_EQ(refusal([&node] { node.at("cp"); }), "x.json: /: missing key \"cp\"");
  EXPECT_EQ(node.keys(), (std::vector<std::string>{"tp", "pp"}));
}

TEST(NodeMembers, WrongKindsAreRefused) {
  const Node node = Node::parse(R"({"list": [1], "empty": ""})", "x.json");
  EXPECT_EQ(refusal([&node] { node.elements(); }), "x.json: /: must be an array, got {\"list\":[1],\"empty\":\"\"}");
  EXPECT_EQ(refusal([&node] { node.at("list").keys(); }), "x.json: /list: must be an object, got [1]");
  EXPECT_EQ(refusal([&node] { node.at("list").has("tp"); }), "x.json: /list: must be an object, got [1]");
  EXPECT_EQ(refusal([&node] { node.at("list").only({"tp"}); }), "x.json: /list: must be an object, got [1]");
  EXPECT_EQ(refusal([&node] { node.at("list").boolean(); }), "x.json: /list: must be true or false, got [1]");
  EXPECT_EQ(refusal([&node] { node.at("list").text(); }), "x.json: /list: must be a non-empty string, got [1]");
  EXPECT_EQ(refusal([&node] { node.at("empty").text(); }), "x.json: /empty: must be a non-empty string, got \"\"");
}

TEST(NodeMembers, UnknownKeysSuggestTheNearest) {
  const Node node = Node::parse(R"({"parallel": {"tpp": 8}, "other": {"zzz": 8}, "gpu": {"Memory_gib": 8}})", "x.json");
  EXPECT_EQ(refusal([&node] {
              node.at("parallel").only({"pp", "tp"});
            }),
            "x.json: /parallel: unknown key \"tpp\" (did you mean \"tp\"?)");
  EXPECT_EQ(refusal([&node] {
              node.at("other").only({"pp", "tp"});
            }),
            "x.json: /other: unknown key \"zzz\" (known: pp, tp)");
  EXPECT_EQ(refusal([&node] {
              node.at("gpu").only({"memory_GB", "memory_GiB"});
            }),
            "x.json: /gpu: unknown key \"Memory_gib\" (did you mean \"memory_GiB\"?)");
  EXPECT_EQ(refusal([&node] { node.only({"parallel", "other", "gpu", "more"}); }), "accepted");
}

TEST(NodeMembers, Choices) {
  const Node node = Node::parse(R"(["grace", "grase", "arm", 1])", "x.json");
  const std::vector<Node> e = node.elements();
  EXPECT_EQ(e[0].choice({"x86", "grace"}), 1);
  EXPECT_EQ(refusal([&e] {
              e[1].choice({"x86", "grace"});
            }),
            "x.json: /1: must be one of x86, grace (did you mean \"grace\"?), got \"grase\"");
  EXPECT_EQ(refusal([&e] { e[2].choice({"x86", "grace"}); }), "x.json: /2: must be one of x86, grace, got \"arm\"");
  EXPECT_EQ(refusal([&e] { e[3].choice({"x86", "grace"}); }), "x.json: /3: must be one of x86, grace, got 1");
}

TEST(NodeErrors, PointersAreEscapedAndStayOneLine) {
  const Node node = Node::parse("{\"a/b\": {\"c~d\": [0, {\"\": -1, \"e\\nf\": -1}]}}", "x.json");
  const Node inner = node.at("a/b").at("c~d").elements()[1];
  EXPECT_EQ(inner.pointer(), "/a~1b/c~0d/1");  // RFC 6901, section 3
  EXPECT_EQ(refusal([&inner] { inner.at("").positive(); }), "x.json: /a~1b/c~0d/1/: must be a positive number, got -1");
  EXPECT_EQ(refusal([&inner] { inner.at("e\nf").positive(); }),
            "x.json: /a~1b/c~0d/1/e\\x0af: must be a positive number, got -1");
}

TEST(NodeErrors, LongValuesAreShortenedBetweenCharacters) {
  std::string quoted(102, 'a');
  quoted.front() = quoted.back() = '"';
  const Node ascii = Node::parse(quoted, "x.json");
  EXPECT_EQ(refusal([&ascii] { ascii.number(); }),
            "x.json: /: must be a number, got \"" + std::string(56, 'a') + "...");
  std::string accents;  // two bytes each: after the quote 28 fit into 57 bytes exactly, after "a 27
  for (int i = 0; i < 50; ++i) accents += "\xc3\xa9";
  const Node shifted = Node::parse("\"a" + accents + "\"", "x.json");
  EXPECT_EQ(refusal([&shifted] { shifted.number(); }),
            "x.json: /: must be a number, got \"a" + accents.substr(0, 54) + "...");
}

TEST(NodeErrors, NodesOutliveTheNodeTheyCameFrom) {
  const Node child = Node::parse(R"({"tp": [8]})", "x.json").at("tp").elements()[0];
  EXPECT_EQ(child.positive_int(), 8);
  EXPECT_EQ(child.dump(), "8");
}

TEST(Nearest, AtMostAThirdOfTheLettersDiffer) {
  const std::vector<std::string> known = {"precision", "parallel", "tp"};
  EXPECT_EQ(hw::nearest("precison", known), "precision");
  EXPECT_EQ(hw::nearest("paralel", known), "parallel");
  EXPECT_EQ(hw::nearest("tp", known), "tp");
  EXPECT_EQ(hw::nearest("pp", known), std::nullopt);  // half of the letters differ
  EXPECT_EQ(hw::nearest("", known), std::nullopt);
  EXPECT_EQ(hw::nearest("position", known), std::nullopt);  // 3 edits of 8 letters
}

}  // namespace
