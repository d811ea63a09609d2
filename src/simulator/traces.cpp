// SPDX-License-Identifier: Apache-2.0
#include "vmmi/simulator.h"

namespace vmmi::simulator {
namespace {

/// Seconds and MiB, as the axes of the plots have them.
struct Reading {
    double at;
    std::uint64_t remaining;
};

BytesPerSecond megabits(std::uint64_t rate) {
    return {rate * 1'000'000 / 8};
}

std::vector<Trace::Point> points(std::initializer_list<Reading> readings) {
    std::vector<Trace::Point> all;
    for (const Reading& reading : readings)
        all.push_back({Milliseconds(static_cast<std::int64_t>(1000 * reading.at)), mebibytes(reading.remaining)});
    return all;
}

}  // namespace

std::vector<Trace> published_traces() {
    using std::chrono::seconds;
    return {
        {"redis, 10 GiB, with phases of flushing", megabits(900),
         points({{0, 10250},  {94, 3020}, {121, 855}, {128, 815}, {135, 800}, {143, 1235}, {154, 2480},
                 {176, 1235}, {187, 830}, {195, 800}, {201, 805}, {209, 790}, {216, 800},  {223, 1840},
                 {240, 2065}, {258, 860}, {266, 825}, {273, 805}, {280, 800}, {287, 810}})},
        {"mariadb, 6 GiB, with one dip", megabits(840),
         points({{0, 6160},
                 {59, 935},
                 {68, 585},
                 {73.5, 505},
                 {78.5, 370},
                 {82, 470},
                 {86, 500},
                 {91, 265},
                 {93, 45},
                 {94, 30}})},
        {"redis, 10 GiB, with a collapse of the network",
         Rate{{seconds(0), megabits(900)}, {seconds(155), megabits(50)}, {seconds(216), megabits(900)}},
         points({{0, 10250},
                 {94, 3420},
                 {125, 1360},
                 {137, 735},
                 {143, 425},
                 {150, 390},
                 {153, 390},
                 {216, 1180},
                 {226, 1660},
                 {241, 710},
                 {248, 430},
                 {251, 690},
                 {257, 400},
                 {286, 390},
                 {289, 730},
                 {296, 1570},
                 {310, 370},
                 {315, 95}})},
        {"stress-ng, 6 GiB, without hope", megabits(915),
         points({{0, 6160},
                 {52, 5170},
                 {99, 5145},
                 {147, 5155},
                 {194, 5145},
                 {241, 5145},
                 {289, 5140},
                 {336, 5140},
                 {384, 5140}})},
        {"build of a kernel, 4 GiB, which ends by itself", megabits(890),
         points({{0, 4110},   {37, 1860},  {53, 1265},  {64, 1240},  {74, 1280},  {85, 1245},  {96, 1250},  {107, 1260},
                 {117, 1305}, {129, 1280}, {139, 1280}, {150, 1570}, {164, 1685}, {179, 1690}, {193, 1580}, {207, 1410},
                 {219, 1635}, {233, 1460}, {246, 1560}, {260, 1090}, {272, 350},  {274.5, 30}, {277, 25}})},
    };
}

Scenario from_trace(const Trace& trace) {
    Scenario scenario;
    if (!trace.points.empty()) scenario.guest.memory = trace.points.front().remaining;
    scenario.trace = trace;
    return scenario;
}

}  // namespace vmmi::simulator
