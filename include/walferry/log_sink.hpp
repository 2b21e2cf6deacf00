/// Where walferry's remarks go. The library never prints: it hands each remark to the sink that
/// the host gave it. A sink may be called from several threads at once and must not call back
/// into the object that calls it.
#pragma once

#include <functional>
#include <string_view>

namespace walferry {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

using LogSink = std::function<void(LogLevel, std::string_view message)>;

}  // namespace walferry
