// Words that the dialogue completes beside the lake's own tables and columns: those of DuckDB's SELECT.

export const KEYWORDS = (
  "select from where group by order having limit offset distinct as and or not in is null like ilike between case when " +
  "then else end join left right inner outer full cross using on asof union all except intersect with recursive asc desc " +
  "nulls first last interval cast exists true false over partition rows range filter within qualify explain analyze " +
  "values unnest lateral similar to glob"
).split(" ");

export const FUNCTIONS = (
  "count sum avg min max median mode stddev variance quantile_cont quantile_disc approx_quantile approx_count_distinct " +
  "arg_min arg_max any_value first last list string_agg bool_and bool_or histogram date_trunc time_bucket date_diff " +
  "date_part extract epoch epoch_ms epoch_ns strftime strptime now make_timestamp to_timestamp to_seconds abs round floor " +
  "ceil greatest least ln log10 sqrt power lower upper trim length substring replace split_part contains starts_with " +
  "ends_with regexp_matches regexp_extract regexp_replace concat concat_ws format printf coalesce nullif ifnull if " +
  "map_keys map_values map_extract element_at cardinality list_contains row_number rank dense_rank lag lead ntile " +
  "first_value last_value bar json_extract json_extract_string to_json typeof try_cast"
).split(" ");
