#include "engine/sql_text.h"

#include <algorithm>
#include <array>
#include <utility>

namespace walferry::engine {

namespace {

enum class TokenKind { kEnd, kWord, kQuoted, kSymbol };

struct Token {
  TokenKind kind = TokenKind::kEnd;
  std::string_view text;  ///< of a quoted one without its quotes
};

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool equals(std::string_view a, std::string_view lower_case) {
  return std::ranges::equal(a, lower_case, {}, lower);
}

// The vertical tab, too: SQLite takes it for white space where other white space precedes it.
bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

// Bytes of UTF-8 beyond ASCII are letters to SQLite.
bool is_word_part(char c) {
  return (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '$' ||
         static_cast<unsigned char>(c) >= 0x80;
}

class Tokens {
 public:
  explicit Tokens(std::string_view sql) : sql_(sql) {}

  [[nodiscard]] std::size_t offset() const { return at_; }

  void skip_space() {
    for (;;) {
      const std::string_view rest = sql_.substr(at_);
      if (rest.empty()) return;
      if (is_space(rest.front())) {
        ++at_;
      } else if (rest.starts_with("\xef\xbb\xbf")) {  // a byte order mark, white space to SQLite
        at_ += 3;
      } else if (rest.starts_with("--")) {
        skip_behind("\n", 2);
      } else if (rest.starts_with("/*") && rest.size() > 2) {  // SQLite's "/*" at the end is none
        skip_behind("*/", 2);
      } else {
        return;
      }
    }
  }

  Token next() {
    skip_space();
    if (at_ >= sql_.size()) return {};
    const char c = sql_[at_];
    if (c == '\'' || c == '"' || c == '`') return quoted(c);
    if (c == '[') return quoted(']');
    std::size_t end = at_;
    while (end < sql_.size() && is_word_part(sql_[end])) ++end;
    if (end == at_) return {TokenKind::kSymbol, sql_.substr(at_++, 1)};
    return {TokenKind::kWord, sql_.substr(std::exchange(at_, end), end - at_)};
  }

 private:
  void skip_behind(std::string_view what, std::size_t from) {
    const std::size_t found = sql_.find(what, at_ + from);
    at_ = found == std::string_view::npos ? sql_.size() : found + what.size();
  }

  Token quoted(char close) {
    const std::size_t begin = ++at_;
    for (; at_ < sql_.size(); ++at_) {
      if (sql_[at_] != close) continue;
      const bool doubled = close != ']' && at_ + 1 < sql_.size() && sql_[at_ + 1] == close;
      if (!doubled) return {TokenKind::kQuoted, sql_.substr(begin, at_++ - begin)};
      ++at_;
    }
    return {TokenKind::kQuoted, sql_.substr(begin)};
  }

  std::string_view sql_;
  std::size_t at_ = 0;
};

bool is_word(const Token& token, std::string_view lower_case) {
  return token.kind == TokenKind::kWord && equals(token.text, lower_case);
}

bool is_symbol(const Token& token, char symbol) {
  return token.kind == TokenKind::kSymbol && token.text.front() == symbol;
}

bool ends_statement(const Token& token) {
  return token.kind == TokenKind::kEnd || is_symbol(token, ';');
}

Token first_token(Tokens& tokens) {
  Token token = tokens.next();
  while (is_symbol(token, ';')) token = tokens.next();
  return token;
}

/// The verb behind WITH: the first one outside parentheses. REPLACE may be a table's name as well.
SqlKind kind_behind_with(Tokens tokens) {
  int depth = 0;
  for (Token token = tokens.next(); !ends_statement(token); token = tokens.next()) {
    if (is_symbol(token, '(')) ++depth;
    if (is_symbol(token, ')')) --depth;
    if (depth != 0) continue;
    if (is_word(token, "insert")) return SqlKind::kInsert;
    if (is_word(token, "update")) return SqlKind::kUpdate;
    if (is_word(token, "delete")) return SqlKind::kDelete;
    if (is_word(token, "select") || is_word(token, "values")) return SqlKind::kOther;
    if (is_word(token, "replace")) {
      Tokens ahead = tokens;
      if (is_word(ahead.next(), "into")) return SqlKind::kInsert;
    }
  }
  return SqlKind::kOther;
}

SqlKind kind_of_vacuum(Tokens tokens) {
  for (Token token = tokens.next(); !ends_statement(token); token = tokens.next()) {
    if (is_word(token, "into")) return SqlKind::kVacuumInto;
  }
  return SqlKind::kVacuum;
}

}  // namespace

std::string lower_sql(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), lower);
  return out;
}

std::string_view skip_blank_sql(std::string_view sql) {
  Tokens tokens(sql);
  for (;;) {
    tokens.skip_space();
    const std::size_t at = tokens.offset();
    if (!is_symbol(tokens.next(), ';')) return sql.substr(at);
  }
}

SqlKind kind_of_sql(std::string_view sql) {
  Tokens tokens(sql);
  const Token first = first_token(tokens);
  if (is_word(first, "insert") || is_word(first, "replace")) return SqlKind::kInsert;
  if (is_word(first, "update")) return SqlKind::kUpdate;
  if (is_word(first, "delete")) return SqlKind::kDelete;
  if (is_word(first, "with")) return kind_behind_with(tokens);
  if (is_word(first, "pragma")) return SqlKind::kPragma;
  if (is_word(first, "vacuum")) return kind_of_vacuum(tokens);
  if (is_word(first, "explain")) return SqlKind::kExplain;
  return SqlKind::kOther;
}

bool changes_schema(std::string_view sql) {
  constexpr std::array<std::string_view, 5> kVerbs = {"create", "drop", "alter", "reindex",
                                                      "analyze"};
  Tokens tokens(sql);
  const Token first = first_token(tokens);
  return std::ranges::any_of(kVerbs, [&](std::string_view verb) { return is_word(first, verb); });
}

std::size_t end_of_simple_statement(std::string_view sql) {
  Tokens tokens(sql);
  Token token = first_token(tokens);
  while (!ends_statement(token)) token = tokens.next();
  return tokens.offset();
}

bool is_pragma_or_its_explain(std::string_view sql) {
  Tokens tokens(sql);
  Token token = first_token(tokens);
  if (is_word(token, "explain")) {
    token = tokens.next();
    if (is_word(token, "query") && is_word(tokens.next(), "plan")) token = tokens.next();
  }
  return is_word(token, "pragma");
}

std::optional<std::size_t> end_of_readonly_begin(std::string_view sql) {
  constexpr std::array<std::string_view, 4> kWords = {"transaction", "deferred", "immediate",
                                                      "exclusive"};
  Tokens tokens(sql);
  if (!is_word(first_token(tokens), "begin")) return std::nullopt;
  bool readonly = false;
  for (Token token = tokens.next(); !ends_statement(token); token = tokens.next()) {
    if (token.kind != TokenKind::kSymbol && equals(token.text, "readonly")) {
      readonly = true;
    } else if (std::ranges::none_of(kWords, [&](auto word) { return is_word(token, word); })) {
      return std::nullopt;  // a mistake, and SQLite's to name; or a name that is not READONLY
    }
  }
  if (!readonly) return std::nullopt;
  return tokens.offset();
}

}  // namespace walferry::engine
