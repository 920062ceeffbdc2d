//! Tables as types: one declaration gives the row, its key and its bulk statements, so that they cannot drift apart.
//!
//! Rows travel as one JSON array per statement. It must never know what an event is.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::error::{Doing, Error};
use crate::text::without_nul;

/// A table whose rows are read and written in bulk.
pub(crate) trait Table: Serialize + DeserializeOwned {
    /// The primary key.
    type Key: Serialize + Ord + Clone;
    const NAME: &'static str;
    /// Selects the rows whose first key column is in the array `$1`.
    const SELECT: &'static str;
    /// Inserts or replaces the rows in `$1`.
    const UPSERT: &'static str;
    /// Deletes the rows whose keys are in `$1`.
    const DELETE: &'static str;

    fn key(&self) -> Self::Key;

    /// The first column of a key.
    fn first_column(key: &Self::Key) -> Uuid;
}

macro_rules! table {
    (
        $(#[$meta:meta])*
        $name:literal, key $key:ident ($key1:ident: $key1_type:ty $(, $keys:ident: $keys_type:ty)*),
        struct $row:ident { $first:ident: $first_type:ty $(, $field:ident: $field_type:ty)* $(,)? }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
        pub(crate) struct $row {
            pub(crate) $first: $first_type,
            $(pub(crate) $field: $field_type,)*
        }

        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
        pub(crate) struct $key {
            pub(crate) $key1: $key1_type,
            $(pub(crate) $keys: $keys_type,)*
        }

        impl $crate::table::Table for $row {
            type Key = $key;
            const NAME: &'static str = $name;
            // An array and not a join with JSON: the planner then always takes the index, also when it plans on a table
            // that was empty.
            const SELECT: &'static str =
                concat!("select to_json(t)::text from ", $name, " t where ", stringify!($key1), " = any($1)");
            const UPSERT: &'static str = concat!(
                "insert into ", $name, " (", stringify!($first), $(", ", stringify!($field),)* ") select ",
                stringify!($first), $(", ", stringify!($field),)*
                " from json_populate_recordset(null::", $name, ", $1::json) on conflict (",
                stringify!($key1), $(", ", stringify!($keys),)* ") do update set ",
                stringify!($first), " = excluded.", stringify!($first),
                $(", ", stringify!($field), " = excluded.", stringify!($field),)*
            );
            const DELETE: &'static str = concat!(
                "delete from ", $name, " t using json_populate_recordset(null::", $name, ", $1::json) k where t.",
                stringify!($key1), " = k.", stringify!($key1),
                $(" and t.", stringify!($keys), " = k.", stringify!($keys),)*
            );

            fn key(&self) -> $key {
                $key { $key1: self.$key1.clone(), $($keys: self.$keys.clone(),)* }
            }

            fn first_column(key: &$key) -> uuid::Uuid {
                key.$key1.0
            }
        }
    };
}
pub(crate) use table;

struct Slot<T> {
    row: T,
    dirty: bool,
}

/// The rows of one table that a batch touches: loaded once, changed in memory, written once.
pub(crate) struct Rows<T: Table> {
    wanted: BTreeSet<T::Key>,
    slots: BTreeMap<T::Key, Slot<T>>,
    removed: BTreeSet<T::Key>,
}

impl<T: Table> Default for Rows<T> {
    fn default() -> Self {
        Self { wanted: BTreeSet::new(), slots: BTreeMap::new(), removed: BTreeSet::new() }
    }
}

impl<T: Table> Rows<T> {
    /// Asks for a row to be loaded.
    pub(crate) fn want(&mut self, key: T::Key) {
        self.wanted.insert(key);
    }

    /// The row of that key, where there is one.
    pub(crate) fn get(&self, key: &T::Key) -> Option<&T> {
        self.slots.get(key).map(|slot| &slot.row)
    }

    /// The row of that key, to be changed.
    pub(crate) fn edit(&mut self, key: &T::Key) -> Option<&mut T> {
        self.slots.get_mut(key).map(|slot| {
            slot.dirty = true;
            &mut slot.row
        })
    }

    /// Every loaded row.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.slots.values().map(|slot| &slot.row)
    }

    /// Adds or replaces a row.
    pub(crate) fn put(&mut self, row: T) {
        let key = row.key();
        self.removed.remove(&key);
        self.slots.insert(key, Slot { row, dirty: true });
    }

    /// Takes a row away.
    pub(crate) fn remove(&mut self, key: T::Key) {
        self.slots.remove(&key);
        self.removed.insert(key);
    }

    /// Forgets every row that does not satisfy `keep`, without touching the table.
    pub(crate) fn forget_unless(&mut self, keep: impl Fn(&T) -> bool) {
        self.slots.retain(|_, slot| keep(&slot.row));
    }

    /// Loads what was asked for. A key without a row is simply absent.
    pub(crate) async fn load(&mut self, connection: &mut PgConnection) -> Result<(), Error> {
        let wanted = std::mem::take(&mut self.wanted);
        if wanted.is_empty() {
            return Ok(());
        }
        let mut keys: Vec<Uuid> = wanted.iter().map(T::first_column).collect();
        keys.dedup();
        let rows: Vec<String> = sqlx::query_scalar(T::SELECT).bind(keys).fetch_all(connection).await.doing(T::NAME)?;
        for text in rows {
            let row: T = serde_json::from_str(&text).map_err(|source| Error::Decode { table: T::NAME, source })?;
            let key = row.key();
            // Another project may have something of the same id.
            if wanted.contains(&key) {
                self.slots.insert(key, Slot { row, dirty: false });
            }
        }
        Ok(())
    }

    /// Writes what was changed: at most two statements. Returns how many rows.
    pub(crate) async fn store(&self, connection: &mut PgConnection) -> Result<usize, Error> {
        if !self.removed.is_empty() {
            let keys = encode::<T, _>(&self.removed)?;
            sqlx::query(T::DELETE).bind(keys).execute(&mut *connection).await.doing(T::NAME)?;
        }
        let dirty: Vec<&T> = self.slots.values().filter(|slot| slot.dirty).map(|slot| &slot.row).collect();
        if !dirty.is_empty() {
            let rows = encode::<T, _>(&dirty)?;
            sqlx::query(T::UPSERT).bind(rows).execute(connection).await.doing(T::NAME)?;
        }
        Ok(dirty.len() + self.removed.len())
    }
}

fn encode<T: Table, S: Serialize + ?Sized>(rows: &S) -> Result<String, Error> {
    serde_json::to_string(rows).map(without_nul).map_err(|source| Error::Encode { table: T::NAME, source })
}
