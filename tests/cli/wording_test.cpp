#include "cli/wording.h"

#include <gtest/gtest.h>

#include "sim/breakdown.h"

namespace cli {
namespace {

TEST(Wording, TimesHaveFourDigits) {
  EXPECT_EQ(time_text({28.6224}), "28.62 s");
  EXPECT_EQ(time_text({1.23456}), "1.235 s");
  EXPECT_EQ(time_text({0.98765}), "987.6 ms");
  EXPECT_EQ(time_text({12345.6}), "12346 s");
  EXPECT_EQ(four_digits(9.99996), "10.00");
}

TEST(Wording, ThousandsAreGrouped) {
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1172311.2), "1,172,311");
}

TEST(Wording, EveryPartOfTheBreakdownIsExplained) {
  for (int i = 0; i < sim::kParts; ++i)
    EXPECT_FALSE(meaning_of_part(sim::name(static_cast<sim::Part>(i))).empty()) << i;
}

TEST(Wording, LayoutNamesWhatIsAboveOne) {
  models::Layout layout;
  layout.tp = 4;
  layout.pp = 2;
  layout.dp = 8;
  layout.sp = true;
  layout.zero = models::Zero::optimizer;
  EXPECT_EQ(layout_text(layout), "tp 4 (sp), pp 2, dp 8, zero 1, schedule 1f1b");
}

}  // namespace
}  // namespace cli
