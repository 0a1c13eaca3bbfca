"""What `introspect` asks PostgreSQL's own catalogue: SELECTs that answer with one JSON text each.

Temporary tables, PostgreSQL's own schemas and what belongs to an extension are never asked for.
"""

from __future__ import annotations

_USER_SCHEMA = (
    "n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%' ESCAPE '\\'"
    " AND NOT EXISTS (SELECT 1 FROM pg_depend x WHERE x.classid = 'pg_class'::regclass"
    " AND x.objid = c.oid AND x.deptype = 'e')"
)

TABLES = f"""
SELECT coalesce(json_agg(json_build_object(
    'oid', c.oid::bigint, 'schema', n.nspname, 'name', c.relname, 'kind', c.relkind,
    'persistence', c.relpersistence, 'partition', c.relispartition,
    'inherits', EXISTS (SELECT 1 FROM pg_inherits i WHERE i.inhrelid = c.oid),
    'has_children', EXISTS (SELECT 1 FROM pg_inherits i WHERE i.inhparent = c.oid),
    'usable', has_schema_privilege(n.oid, 'usage')
  ) ORDER BY n.nspname, c.relname), '[]')::text
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relpersistence <> 't' AND {_USER_SCHEMA}
"""

COLUMNS = f"""
SELECT coalesce(json_agg(json_build_object(
    'oid', a.attrelid::bigint, 'name', a.attname, 'type', format_type(a.atttypid, a.atttypmod),
    'type_kind', t.typtype,
    'notnull', a.attnotnull, 'identity', a.attidentity, 'generated', a.attgenerated,
    'default', pg_get_expr(d.adbin, d.adrelid),
    'not_null_name', (SELECT k.conname FROM pg_constraint k WHERE k.conrelid = a.attrelid
        AND k.contype = 'n' AND k.conkey = ARRAY[a.attnum]),
    'collation', CASE WHEN a.attcollation <> t.typcollation
      THEN (SELECT quote_ident(cn.nspname) || '.' || quote_ident(co.collname) FROM pg_collation co
            JOIN pg_namespace cn ON cn.oid = co.collnamespace WHERE co.oid = a.attcollation) END
  ) ORDER BY a.attrelid, a.attnum), '[]')::text
FROM pg_attribute a
JOIN pg_class c ON c.oid = a.attrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind = 'r' AND {_USER_SCHEMA}
"""

CONSTRAINTS = f"""
SELECT coalesce(json_agg(json_build_object(
    'oid', k.conrelid::bigint, 'name', k.conname, 'kind', k.contype,
    'definition', pg_get_constraintdef(k.oid),
    'columns', (SELECT json_agg(a.attname ORDER BY u.n)
       FROM unnest(k.conkey) WITH ORDINALITY u(num, n)
       JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.num),
    'target_schema', fn.nspname, 'target', f.relname,
    'target_columns', (SELECT json_agg(a.attname ORDER BY u.n)
       FROM unnest(k.confkey) WITH ORDINALITY u(num, n)
       JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.num),
    'deferrable', k.condeferrable
  ) ORDER BY k.conrelid, k.contype, k.conname), '[]')::text
FROM pg_constraint k
JOIN pg_class c ON c.oid = k.conrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_class f ON f.oid = k.confrelid
LEFT JOIN pg_namespace fn ON fn.oid = f.relnamespace
WHERE k.contype IN ('p', 'u', 'c', 'f', 'x') AND c.relkind = 'r' AND {_USER_SCHEMA}
"""

INDEXES = f"""
SELECT coalesce(json_agg(json_build_object(
    'oid', i.indrelid::bigint, 'name', ic.relname, 'definition', pg_get_indexdef(i.indexrelid),
    'unique', i.indisunique, 'clustered', i.indisclustered
  ) ORDER BY i.indrelid, ic.relname), '[]')::text
FROM pg_index i
JOIN pg_class ic ON ic.oid = i.indexrelid
JOIN pg_class c ON c.oid = i.indrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = i.indexrelid
                  AND k.contype IN ('p', 'u', 'x'))
  AND c.relkind = 'r' AND i.indisvalid AND {_USER_SCHEMA}
"""

SEQUENCES = f"""
SELECT coalesce(json_agg(json_build_object(
    'schema', n.nspname, 'name', c.relname, 'type', format_type(s.seqtypid, NULL),
    'start', s.seqstart, 'increment', s.seqincrement, 'minimum', s.seqmin, 'maximum', s.seqmax,
    'cache', s.seqcache, 'cycle', s.seqcycle,
    'owner_schema', tn.nspname, 'owner_table', t.relname, 'owner_column', a.attname,
    'identity', coalesce(d.deptype = 'i', false),
    'readable', has_sequence_privilege(c.oid, 'select')
  ) ORDER BY n.nspname, c.relname), '[]')::text
FROM pg_sequence s
JOIN pg_class c ON c.oid = s.seqrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid
  AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
LEFT JOIN pg_class t ON t.oid = d.refobjid
LEFT JOIN pg_namespace tn ON tn.oid = t.relnamespace
LEFT JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
WHERE c.relpersistence <> 't' AND {_USER_SCHEMA}
"""

ENUMS = f"""
SELECT coalesce(json_agg(json_build_object('schema', n.nspname, 'name', c.typname, 'labels',
    (SELECT json_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = c.oid)
  ) ORDER BY n.nspname, c.typname), '[]')::text
FROM pg_type c JOIN pg_namespace n ON n.oid = c.typnamespace
WHERE c.typtype = 'e' AND {_USER_SCHEMA.replace("'pg_class'::regclass", "'pg_type'::regclass")}
"""

SCHEMAS = f"""
SELECT coalesce(json_agg(n.nspname ORDER BY n.nspname), '[]')::text FROM pg_namespace n
JOIN pg_namespace c ON c.oid = n.oid
WHERE {_USER_SCHEMA.replace("'pg_class'::regclass", "'pg_namespace'::regclass")}
"""

FUNCTIONS = f"""
SELECT coalesce(json_agg(pg_get_functiondef(c.oid) ORDER BY n.nspname, c.proname, c.oid), '[]')
  ::text
FROM pg_proc c JOIN pg_namespace n ON n.oid = c.pronamespace
WHERE c.prokind IN ('f', 'p')
  AND {_USER_SCHEMA.replace("'pg_class'::regclass", "'pg_proc'::regclass")}
"""

TRIGGERS = f"""
SELECT coalesce(json_agg(json_build_object('oid', c.oid::bigint, 'definition',
    pg_get_triggerdef(t.oid)) ORDER BY n.nspname, c.relname, t.tgname), '[]')::text
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE NOT t.tgisinternal AND c.relkind = 'r' AND {_USER_SCHEMA}
"""

# What is there beside all that, and what `schema.sql` does not make.
BESIDE = f"""
SELECT coalesce(json_agg(what ORDER BY what), '[]')::text FROM (
  SELECT 'aggregate ' || n.nspname || '.' || c.proname AS what
  FROM pg_proc c JOIN pg_namespace n ON n.oid = c.pronamespace
  WHERE c.prokind NOT IN ('f', 'p')
    AND {_USER_SCHEMA.replace("'pg_class'::regclass", "'pg_proc'::regclass")}
  UNION ALL
  SELECT CASE c.typtype WHEN 'd' THEN 'domain ' WHEN 'r' THEN 'range type '
    ELSE 'composite type ' END || n.nspname || '.' || c.typname
  FROM pg_type c JOIN pg_namespace n ON n.oid = c.typnamespace
  WHERE (c.typtype IN ('d', 'r') OR c.typtype = 'c' AND EXISTS (
      SELECT 1 FROM pg_class r WHERE r.oid = c.typrelid AND r.relkind = 'c'))
    AND {_USER_SCHEMA.replace("'pg_class'::regclass", "'pg_type'::regclass")}
  UNION ALL
  SELECT CASE WHEN p.polname IS NULL THEN 'row-level security of ' ELSE 'policy ' || p.polname
    || ' of ' END || n.nspname || '.' || c.relname
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_policy p ON p.polrelid = c.oid
  WHERE c.relkind = 'r' AND (c.relrowsecurity OR p.polname IS NOT NULL) AND {_USER_SCHEMA}
  UNION ALL
  SELECT 'rule ' || r.rulename || ' of ' || n.nspname || '.' || c.relname
  FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class
  JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND {_USER_SCHEMA}
  UNION ALL
  SELECT 'storage parameters of ' || n.nspname || '.' || c.relname
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind = 'r' AND c.reloptions IS NOT NULL AND {_USER_SCHEMA}
  UNION ALL
  SELECT 'disabled trigger ' || t.tgname || ' of ' || n.nspname || '.' || c.relname
  FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE NOT t.tgisinternal AND t.tgenabled <> 'O' AND c.relkind = 'r' AND {_USER_SCHEMA}
  UNION ALL
  SELECT 'comments on ' || n.nspname || '.' || c.relname
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind = 'r' AND {_USER_SCHEMA} AND EXISTS (SELECT 1 FROM pg_description d
    WHERE d.classoid = 'pg_class'::regclass AND d.objoid = c.oid)
  UNION ALL
  SELECT 'extension ' || e.extname FROM pg_extension e WHERE e.extname <> 'plpgsql'
) AS beside
"""

CATALOG = {
    "tables": TABLES,
    "columns": COLUMNS,
    "constraints": CONSTRAINTS,
    "indexes": INDEXES,
    "triggers": TRIGGERS,
    "sequences": SEQUENCES,
    "enums": ENUMS,
    "functions": FUNCTIONS,
    "schemas": SCHEMAS,
    "beside": BESIDE,
    "server": "SELECT to_json(current_setting('server_version'))",
}

ABOUT_SERVER = {
    "version": "SELECT current_setting('server_version_num')",
    "may_ask_system": "SELECT to_json(has_function_privilege('pg_control_system()', 'execute'))",
    "may_ask_checkpoint": (
        "SELECT to_json(has_function_privilege('pg_control_checkpoint()', 'execute'))"
    ),
}

# With {xmin} and {xmax} as the server's version calls them.
LINEAGE = {
    "database_oid": (
        "SELECT to_json(oid::bigint) FROM pg_database WHERE datname = current_database()"
    ),
    "server_start": (
        "SELECT to_json(to_char(pg_postmaster_start_time() AT TIME ZONE 'UTC', "
        '\'YYYY-MM-DD"T"HH24:MI:SS.US"Z"\'))'
    ),
    "xmin": "SELECT {xmin}::text",
    "xmax": "SELECT {xmax}::text",
}
SYSTEM = "SELECT to_json(system_identifier::text) FROM pg_control_system()"
TIMELINE = "SELECT timeline_id::text FROM pg_control_checkpoint()"
