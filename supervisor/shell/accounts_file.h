// The accounts of a run (core/accounting.h) as they stand in state.json: an object of their own, so that a file without
// them is as good as ever.
//
// Threading: plain functions.
#pragma once

#include <boost/json/object.hpp>

#include "supervisor/core/accounting.h"

namespace ts::shell {

// The accounts of a supervisor before, and when it wrote them down.
struct RememberedAccounts {
  core::Accounts accounts;
  double written_s = 0.0;             // since the epoch; 0: there are none
  std::optional<double> working_s{};  // how old the episode under way was then

  bool operator==(const RememberedAccounts&) const = default;
};

RememberedAccounts to_remember(const core::Accounts& accounts, core::Instant now, double now_since_epoch_s);
core::Accounts recall(const RememberedAccounts& remembered, core::Instant now, double now_since_epoch_s);

boost::json::object to_json(const RememberedAccounts& remembered);

// Within bounds, whatever is in it: arithmetic follows.
RememberedAccounts parse_accounts(const boost::json::object& object);

}  // namespace ts::shell
