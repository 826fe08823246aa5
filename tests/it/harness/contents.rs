//! What is in a database, to show that nothing came of a request.

use std::collections::BTreeMap;

use super::TestDatabase;

impl TestDatabase {
    /// Every row of every table, as text. When tokens were last used is left out, because asking is use; so is what servers
    /// note of the rest by themselves, now and then.
    pub(crate) async fn contents(&self) -> BTreeMap<String, String> {
        let tables = self
            .rows(
                "select relname::text from pg_class
                 where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relispartition
                     and relname not in ('agent_day', 'agent_day_closed', 'task_low_water_mark')",
            )
            .await;
        let mut contents = BTreeMap::new();
        for table in tables {
            let name: String = table.try_get_by_index(0).unwrap();
            let rows = self
                .rows(&format!(
                    "select coalesce(jsonb_agg(line order by line), '[]')::text
                     from (select to_jsonb(row) - 'last_used_at' as line from {name} as row) as lines"
                ))
                .await;
            contents.insert(name, rows[0].try_get_by_index(0).unwrap());
        }
        contents
    }
}
