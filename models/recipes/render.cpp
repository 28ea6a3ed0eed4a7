#include "models/recipes/render.h"

#include <algorithm>
#include <cctype>

#include "models/recipes/differences.h"

namespace recipes {
namespace {

bool is_plain(const std::string& text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || std::string_view("_-./+").find(static_cast<char>(c)) != std::string_view::npos;
  });
}

std::string quoted(const std::string& text, char quote) {
  std::string result(1, quote);
  for (const char c : text) {
    if (c == '\n') {
      result += "\\n";
      continue;
    }
    if (c == quote || c == '\\') result += '\\';
    result += c;
  }
  return result + quote;
}

/// YAML and shells read a plain word as a word, unless it looks like something else.
bool needs_quotes(const std::string& text, Syntax syntax) {
  if (syntax == Syntax::python) return !text.starts_with("torch.");
  if (syntax == Syntax::toml || syntax == Syntax::json) return true;
  const bool looks_else = syntax == Syntax::yaml &&
                          (text.front() == '-' || text.find_first_not_of("0123456789._+-eE") == std::string::npos ||
                           text == "null" || text == "true" || text == "false");
  return !is_plain(text) || looks_else;
}

std::string word(const std::string& text, Syntax syntax, char kept_quote) {
  if (text.empty()) return "\"\"";
  if (kept_quote == '\0' && !needs_quotes(text, syntax)) return text;
  if (kept_quote != '\0' && text.starts_with("torch.") && syntax == Syntax::python) return text;
  if (syntax == Syntax::shell && text.find('\'') == std::string::npos) return "'" + text + "'";
  return quoted(text, kept_quote == '\'' && text.find_first_of("'\\") == std::string::npos ? '\'' : '"');
}

std::string list(const Value::List& elements, Syntax syntax) {
  std::string result;
  const bool is_words = syntax == Syntax::shell;
  for (const Value& element : elements) {
    if (!result.empty()) result += is_words ? " " : ", ";
    result += literal_text(element, syntax);
  }
  return is_words ? result : "[" + result + "]";
}

/// Keys of a section below their header, sections below each other.
void add_yaml(const Value& value, int indent, std::string& out) {
  for (const auto& [key, inner] : *value.as<Value::Object>()) {
    out += std::string(static_cast<std::size_t>(indent), ' ') + key + ":";
    if (inner.as<Value::Object>() != nullptr) {
      out += "\n";
      add_yaml(inner, indent + 2, out);
    } else {
      out += " " + literal_text(inner, Syntax::yaml) + "\n";
    }
  }
}

void add_toml(const Value& value, const std::string& path, std::string& out) {
  const auto& members = *value.as<Value::Object>();
  const bool has_keys = std::any_of(members.begin(), members.end(),
                                    [](const auto& m) { return m.second.template as<Value::Object>() == nullptr; });
  if (has_keys && !path.empty()) out += (out.empty() ? "[" : "\n[") + path + "]\n";
  for (const auto& [key, inner] : members) {
    if (inner.as<Value::Object>() == nullptr) out += key + " = " + literal_text(inner, Syntax::toml) + "\n";
  }
  for (const auto& [key, inner] : members) {
    if (inner.as<Value::Object>() != nullptr) add_toml(inner, path.empty() ? key : path + "." + key, out);
  }
}

/// Dotted keys as objects in objects. A key below one that has a value itself stays dotted.
Value tree(const Settings& settings) {
  Value root = Value::Object{};
  for (const auto& [key, value] : settings) set(root, pointer_of(key), value);
  return root;
}

std::string python(const Settings& settings) {
  std::string out, section;
  for (const auto& [key, value] : settings) {
    const std::string own = key.substr(0, key.find('.'));
    if (!out.empty() && own != section) out += "\n";
    section = own;
    out += "cfg." + key + " = " + literal_text(value, Syntax::python) + "\n";
  }
  return out;
}

std::string shell(const Settings& settings) {
  std::string launcher, flags;
  for (const auto& [key, value] : settings) {
    std::string& out = key == "--nproc-per-node" || key == "--nnodes" ? launcher : flags;
    out += " \\\n  " + key + (value == Value(true) ? "" : " " + literal_text(value, Syntax::shell));
  }
  return "torchrun" + launcher + " \\\n  pretrain_gpt.py" + flags + "\n";
}

/// Keys of one section together, in the order in which sections come first.
Settings grouped(const Settings& settings) {
  std::vector<std::string> sections;
  const auto section = [](const auto& setting) { return setting.first.substr(0, setting.first.find('.')); };
  for (const auto& setting : settings) {
    if (std::find(sections.begin(), sections.end(), section(setting)) == sections.end())
      sections.push_back(section(setting));
  }
  Settings result = settings;
  std::stable_sort(result.begin(), result.end(), [&](const auto& a, const auto& b) {
    return std::find(sections.begin(), sections.end(), section(a)) <
           std::find(sections.begin(), sections.end(), section(b));
  });
  return result;
}

}  // namespace

std::string literal_text(const Value& value, Syntax syntax, std::string_view was) {
  const char quote = !was.empty() && (was.front() == '"' || was.front() == '\'') ? was.front() : '\0';
  if (const auto* text = value.as<std::string>()) return word(*text, syntax, quote);
  if (const auto* elements = value.as<Value::List>()) return list(*elements, syntax);
  if (const auto* flag = value.as<bool>(); flag != nullptr && syntax == Syntax::python) return *flag ? "True" : "False";
  if (value.is_null()) return syntax == Syntax::python ? "None" : "null";
  return json(value);
}

bool says_something(const Value& value, Syntax syntax) {
  const auto* elements = value.as<Value::List>();
  if (syntax == Syntax::shell && elements != nullptr) return !elements->empty();
  return !value.is_null() || syntax == Syntax::python || syntax == Syntax::yaml;
}

std::string yaml_lines(const Settings& settings, std::size_t indent) {
  std::string out;
  add_yaml(tree(settings), static_cast<int>(indent), out);
  return out;
}

std::string toml_tables(const Settings& settings) {
  std::string out;
  add_toml(tree(settings), "", out);
  return out;
}

std::string render(const Settings& settings, Syntax syntax, Format format) {
  std::string head = syntax == Syntax::shell ? "#!/bin/sh\n" : "";
  Settings keys;
  for (const auto& [key, value] : settings) {
    const bool is_said = says_something(value, syntax);
    if (key.starts_with('@')) {
      head += "# stepcast: " + key.substr(1) + " = " + literal_text(value, Syntax::yaml) + "\n";
    } else if (is_said) {
      keys.emplace_back(key, value);
    }
  }
  keys = grouped(keys);
  std::string body;
  if (syntax == Syntax::python) body = python(keys);
  if (syntax == Syntax::shell) body = shell(keys);
  if (syntax == Syntax::yaml) body = yaml_lines(keys, 0);
  if (syntax == Syntax::toml) body = toml_tables(keys);
  const std::string title = "# " + std::string(name(format)) + " recipe of a stepcast run\n";
  return syntax == Syntax::shell ? head.substr(0, 10) + title + head.substr(10) + "\n" + body
                                 : title + head + "\n" + body;
}

}  // namespace recipes
