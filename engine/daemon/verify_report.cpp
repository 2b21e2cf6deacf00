#include "engine/daemon/verify_report.h"

#include <cstddef>

#include "engine/daemon/json_output.h"

namespace walferry::daemon {

std::string page_ranges(std::span<const std::uint32_t> pages) {
  std::string text;
  for (std::size_t first = 0; first < pages.size();) {
    std::size_t last = first;
    while (last + 1 < pages.size() && pages[last + 1] == pages[last] + 1) ++last;
    if (!text.empty()) text += ", ";
    text += std::to_string(pages[first]);
    if (last > first) text += "-" + std::to_string(pages[last]);
    first = last + 1;
  }
  return text;
}

std::string verify_text(const VerifyReport& report) {
  const std::string pages = std::to_string(report.pages) + " pages";
  const std::string place = " at position " + report.position.to_text();
  if (report.differing_pages.empty()) return "equal: " + pages + place;
  return "different: " + std::to_string(report.differing_pages.size()) + " of " + pages + place +
         ": " + page_ranges(report.differing_pages);
}

std::string verify_json(const VerifyReport& report) {
  JsonWriter json;
  json.begin_object()
      .field("equal", report.differing_pages.empty())
      .field("position", report.position.to_text())
      .field("pages", report.pages)
      .key("differing_pages")
      .begin_array();
  for (const std::uint32_t page : report.differing_pages) json.value(page);
  json.end_array().end_object();
  return json.text();
}

}  // namespace walferry::daemon
