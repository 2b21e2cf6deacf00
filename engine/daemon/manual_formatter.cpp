#include "engine/daemon/manual_formatter.h"

#include <algorithm>
#include <cstddef>
#include <string_view>

#include "engine/daemon/manual_pages.h"

namespace walferry::daemon {
namespace {

constexpr std::size_t kWidth = 78;
constexpr std::size_t kNameIndent = 2;
constexpr std::size_t kTextIndent = 6;

std::string wrapped(std::string_view text, std::size_t indent) {
  const std::string margin(indent, ' ');
  std::string out;
  std::string line = margin;
  while (!text.empty()) {
    const std::size_t space = text.find(' ');
    const std::string_view word = text.substr(0, space);
    if (line.size() > indent && line.size() + 1 + word.size() > kWidth) {
      out += line + "\n";
      line = margin;
    }
    if (line.size() > indent) line += ' ';
    line += word;
    text.remove_prefix(space == std::string_view::npos ? text.size() : space + 1);
  }
  return out + line + "\n";
}

void append_section(std::string& page, std::string_view title, std::string_view body) {
  if (body.empty()) return;
  if (!page.empty()) page += "\n";
  page += title;
  page += "\n";
  page += body;
}

std::string describe_option(const CLI::Option& option) {
  std::string head = option.get_name(option.get_positional(), true);
  if (!option.get_positional()) {
    head = option.get_name(false, true);
    std::ranges::replace(head, ',', ' ');
    if (const std::string type = option.get_type_name(); !type.empty()) head += " " + type;
  }
  std::string text = option.get_description();
  if (!option.get_default_str().empty()) text += " Default: " + option.get_default_str() + ".";
  if (!option.get_envname().empty()) text += " Environment: " + option.get_envname() + ".";
  return std::string(kNameIndent, ' ') + head + "\n" + wrapped(text, kTextIndent);
}

enum class Kind { kArguments, kOptions, kOptionsWithoutHelp };

std::string describe_options(const CLI::App& app, Kind kind) {
  std::string body;
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_positional() != (kind == Kind::kArguments)) continue;
    if (option == app.get_help_ptr() && kind == Kind::kOptionsWithoutHelp) continue;
    body += describe_option(*option);
  }
  return body;
}

std::string describe_commands(const CLI::App& app) {
  std::string body;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    std::string line = std::string(kNameIndent, ' ') + command->get_name();
    line.resize(std::max<std::size_t>(line.size() + 2, 14), ' ');
    body += line + command->get_description() + "\n";
  }
  return body;
}

}  // namespace

std::string ManualFormatter::make_help(const CLI::App* app, std::string /*name*/,
                                       CLI::AppFormatMode /*mode*/) const {
  const CLI::App* program = app->get_parent();
  const bool is_command = program != nullptr;
  const ManualPage& text = manual_page(is_command ? app->get_name() : "");
  const std::string full_name = is_command ? "walferry " + app->get_name() : "walferry";

  std::string page;
  append_section(page, "NAME", "  " + full_name + " - " + app->get_description() + "\n");
  append_section(page, "SYNOPSIS", text.synopsis);
  append_section(page, "DESCRIPTION", text.description);
  append_section(page, "COMMANDS", describe_commands(*app));
  append_section(page, "ARGUMENTS", describe_options(*app, Kind::kArguments));
  append_section(page, "OPTIONS", describe_options(*app, Kind::kOptions));
  if (is_command) {
    append_section(page, "OPTIONS OF ALL COMMANDS",
                   describe_options(*program, Kind::kOptionsWithoutHelp));
    append_section(page, "SETTINGS",
                   "  Options also come from WALFERRY_* variables and a TOML file (--config), in\n"
                   "  this order: option > variable > file > default. See \"walferry --help\".\n");
  } else {
    append_section(page, "SETTINGS", settings_text());
  }
  append_section(page, "EXAMPLES", text.examples);
  append_section(page, "FILES", text.files);
  append_section(page, "EXIT STATUS", exit_status_text());
  page.pop_back();  // whoever prints it ends the line
  return page;
}

}  // namespace walferry::daemon
