// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/core/error.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gabra::data {

/// One row of participants.tsv. Cells are without surrounding blanks; "n/a" is kept.
struct Participant {
  std::size_t line = 0;  ///< in the file, from 1
  std::string id;        ///< "sub-" and letters, digits, _ or -
  std::string group;
  std::optional<double> age;
  std::string sex;
  std::vector<std::string> cells;  ///< parallel to ParticipantTable::columns
  std::vector<Fault> faults;       ///< of this row alone
  bool is_repeated = false;        ///< other rows have the same id; the later ones have a fault
};

/// participants.tsv as it stands: rows with faults of their own are kept, so that a caller may leave them out.
struct ParticipantTable {
  std::vector<std::string> columns;
  std::vector<Participant> rows;
};

/// Reads the text of a participants.tsv; `place` is its path. Columns are found by name in any case and order:
/// `participant_id`; `group` (or `diagnosis`, `dx`); `age` and `sex` where there are any. LF or CRLF, with or without a
/// byte order mark. Faults of the whole table (no header, columns missing or twice, no row) go to `faults`; those of
/// one row (number of cells, id, duplicate id, no group, age) to the row. Without `needs_groups` the column and its
/// cells may be missing; such rows have the group "n/a".
[[nodiscard]] ParticipantTable parse_participants(std::string_view text, const std::string& place, FaultList& faults,
                                                  bool needs_groups = true);

}  // namespace gabra::data
