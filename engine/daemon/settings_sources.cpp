#include "engine/daemon/settings_sources.h"

#include <toml++/toml.h>

#include <cstdlib>
#include <sstream>

namespace walferry::daemon {
namespace {

std::string at_line(const toml::source_region& source) {
  std::ostringstream text;
  text << "line " << source.begin.line << ": ";
  return text.str();
}

[[noreturn]] void refuse(const toml::node& node, const std::string& name, const std::string& what) {
  throw CLI::ConfigError(at_line(node.source()) + "'" + name + "' " + what);
}

std::string integer_text(const toml::value<std::int64_t>& value) {
  std::ostringstream text;
  // A mode written as 0o660 has to arrive as the octal digits that --mode takes.
  if (value.flags() == toml::value_flags::format_as_octal) text << '0' << std::oct;
  text << value.get();
  return text.str();
}

std::string scalar_text(const toml::node& node, const std::string& name) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* integer = node.as_integer()) return integer_text(*integer);
  if (const auto* flag = node.as_boolean()) return flag->get() ? "true" : "false";
  if (const auto* real = node.as_floating_point()) {
    std::ostringstream text;
    text << real->get();
    return text.str();
  }
  refuse(node, name, "must be a text, a number, true or false");
}

bool is_setting(const CLI::App& app, const std::string& name) {
  const CLI::Option* option = app.get_option_no_throw("--" + name);
  if (option == nullptr) option = app.get_option_no_throw(name);
  return option != nullptr && option->get_configurable();
}

const CLI::App* find_command(const CLI::App& app, const std::string& name) {
  const auto found =
      app.get_subcommands([&name](const CLI::App* command) { return command->get_name() == name; });
  return found.empty() ? nullptr : found.front();
}

// The settings of `app` in `table`, and those of its commands in the tables within.
void append_items(const CLI::App& app, const toml::table& table,
                  const std::vector<std::string>& parents, std::vector<CLI::ConfigItem>& items) {
  for (const auto& [key, node] : table) {
    const std::string name(key.str());
    if (const auto* inner = node.as_table()) {
      const CLI::App* command = find_command(app, name);
      if (command == nullptr) refuse(node, name, "is not a command that has settings");
      append_items(*command, *inner, {name}, items);
      continue;
    }
    if (!is_setting(app, name)) {
      refuse(node, name, "is not a setting of " + (parents.empty() ? "all commands" : parents[0]));
    }
    if (!environment_value(environment_name(name)).empty()) continue;
    CLI::ConfigItem item;
    item.parents = parents;
    item.name = name;
    if (const auto* list = node.as_array()) {
      for (const auto& element : *list)
        item.inputs.push_back(literal_text(scalar_text(element, name)));
    } else {
      item.inputs.push_back(literal_text(scalar_text(node, name)));
    }
    if (item.inputs.empty()) refuse(node, name, "is an empty list; leave it out instead");
    items.push_back(std::move(item));
  }
}

}  // namespace

std::string environment_name(std::string_view option) {
  std::string name = "WALFERRY_";
  for (const char c : option) {
    name += c == '-' ? '_' : c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  }
  return name;
}

std::string environment_value(const std::string& variable) {
  // Read before any thread is started, and never written by the program.
  const char* value = std::getenv(variable.c_str());  // NOLINT(concurrency-mt-unsafe)
  return value != nullptr ? value : "";
}

std::string literal_text(const std::string& text) {
  const bool looks_like_a_list = text.starts_with('[') && text.ends_with(']');
  return looks_like_a_list ? "./" + text : text;
}

std::vector<CLI::ConfigItem> TomlConfig::from_config(std::istream& input) const {
  try {
    const toml::table table = toml::parse(input);
    std::vector<CLI::ConfigItem> found;
    append_items(program_, table, {}, found);
    return found;
  } catch (const toml::parse_error& error) {
    throw CLI::ConfigError(at_line(error.source()) + std::string(error.description()));
  }
}

std::string TomlConfig::to_config(const CLI::App* app, bool default_also, bool write_description,
                                  std::string prefix) const {
  // CLI11 asks for both directions; what it writes itself is TOML.
  return CLI::ConfigTOML().to_config(app, default_also, write_description, std::move(prefix));
}

}  // namespace walferry::daemon
