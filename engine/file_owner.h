/// Gives files that a replica creates to the user, group and mode that were asked for.
#pragma once

#include "wal/own_file.h"
#include "walferry/replica.hpp"

namespace walferry::engine {

Status give_file(const ReplicaOptions& options, wal::OwnFile& file);

}  // namespace walferry::engine
