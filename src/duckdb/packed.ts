/// <reference path="./native.d.ts" />
// Where DuckDB's native parts lie in the compiled program, packed by scripts/pack-duckdb.ts. Imported there alone: from
// sources they may not be there.

import addon from "../../build/duckdb/duckdb.node.zst" with { type: "file" };
import library from "../../build/duckdb/libduckdb.so.zst" with { type: "file" };

export const PACKED = { library, addon } as const;
