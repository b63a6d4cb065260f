//! Values, statements and rows, the same for both engines.

use crate::error::StoreError;
use bytes::BytesMut;
use tokio_postgres::types::{IsNull, ToSql, Type};

/// A parameter of a statement.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Value {
    Null,
    Int(i64),
    Text(String),
    Bytes(Vec<u8>),
}

/// The values of a list as `$1, $2, ...` and as parameters, filled up to one of few lengths by the last of them. A text is
/// prepared once on each connection of PostgreSQL and stays there, so that there must be few texts.
pub(crate) fn list(mut values: Vec<Value>) -> (String, Vec<Value>) {
    const LENGTHS: [usize; 4] = [1, 10, 100, 1_000];
    let fits = LENGTHS.into_iter().find(|most| *most >= values.len());
    if let (Some(length), Some(last)) = (fits, values.last().cloned()) {
        values.resize(length, last);
    }
    let places: Vec<String> = (1..=values.len()).map(|n| format!("${n}")).collect();
    (places.join(", "), values)
}

/// SQL as data: a text with `$1` parameters, numbered in the order they first appear.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Statement {
    pub(crate) sql: &'static str,
    pub(crate) params: Vec<Value>,
    /// The number of rows it must touch, where another number means that the store is not as believed.
    pub(crate) touches: Option<u64>,
    /// Whether touching another number means that somebody else wrote, rather than that this one
    /// statement makes no sense.
    pub(crate) fence: bool,
}

impl Statement {
    pub(crate) fn new(sql: &'static str, params: Vec<Value>) -> Self {
        Self {
            sql,
            params,
            touches: None,
            fence: false,
        }
    }

    pub(crate) fn one(sql: &'static str, params: Vec<Value>) -> Self {
        Self {
            sql,
            params,
            touches: Some(1),
            fence: false,
        }
    }

    pub(crate) fn fence(sql: &'static str, params: Vec<Value>) -> Self {
        Self {
            fence: true,
            ..Self::one(sql, params)
        }
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}
impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::Int(value.into())
    }
}
impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}
impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}
impl From<&[u8]> for Value {
    fn from(value: &[u8]) -> Self {
        Self::Bytes(value.to_vec())
    }
}
impl From<uuid::Uuid> for Value {
    fn from(value: uuid::Uuid) -> Self {
        Self::Bytes(value.as_bytes().to_vec())
    }
}
impl From<tokenward_core::Timestamp> for Value {
    fn from(value: tokenward_core::Timestamp) -> Self {
        Self::Int(value.0)
    }
}
impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl rusqlite::ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        use rusqlite::types::{ToSqlOutput, ValueRef};
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Int(value) => ValueRef::Integer(*value),
            Self::Text(value) => ValueRef::Text(value.as_bytes()),
            Self::Bytes(value) => ValueRef::Blob(value),
        }))
    }
}

impl ToSql for Value {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Int(value) => value.to_sql(ty, out),
            Self::Text(value) => value.to_sql(ty, out),
            Self::Bytes(value) => value.to_sql(ty, out),
        }
    }

    fn accepts(ty: &Type) -> bool {
        matches!(*ty, Type::INT8 | Type::TEXT | Type::BYTEA)
    }

    tokio_postgres::types::to_sql_checked!();
}

/// A row of either engine, read by column position.
pub(crate) enum Row<'a> {
    Sqlite(&'a rusqlite::Row<'a>),
    Postgres(&'a tokio_postgres::Row),
}

fn damaged(column: usize, what: &str) -> StoreError {
    StoreError::Damaged(format!("column {column} holds no {what}"))
}

impl Row<'_> {
    pub(crate) fn int_or_null(&self, column: usize) -> Result<Option<i64>, StoreError> {
        use rusqlite::types::ValueRef;
        match self {
            Self::Sqlite(row) => match row.get_ref(column)? {
                ValueRef::Null => Ok(None),
                ValueRef::Integer(value) => Ok(Some(value)),
                _ => Err(damaged(column, "number")),
            },
            Self::Postgres(row) => row.try_get(column).map_err(|_| damaged(column, "number")),
        }
    }

    pub(crate) fn text_or_null(&self, column: usize) -> Result<Option<&str>, StoreError> {
        use rusqlite::types::ValueRef;
        match self {
            Self::Sqlite(row) => match row.get_ref(column)? {
                ValueRef::Null => Ok(None),
                ValueRef::Text(value) => std::str::from_utf8(value)
                    .map(Some)
                    .map_err(|_| damaged(column, "text")),
                _ => Err(damaged(column, "text")),
            },
            Self::Postgres(row) => row.try_get(column).map_err(|_| damaged(column, "text")),
        }
    }

    pub(crate) fn bytes_or_null(&self, column: usize) -> Result<Option<&[u8]>, StoreError> {
        use rusqlite::types::ValueRef;
        match self {
            Self::Sqlite(row) => match row.get_ref(column)? {
                ValueRef::Null => Ok(None),
                ValueRef::Blob(value) => Ok(Some(value)),
                _ => Err(damaged(column, "bytes")),
            },
            Self::Postgres(row) => row.try_get(column).map_err(|_| damaged(column, "bytes")),
        }
    }

    pub(crate) fn int(&self, column: usize) -> Result<i64, StoreError> {
        self.int_or_null(column)?
            .ok_or_else(|| damaged(column, "number"))
    }

    pub(crate) fn count(&self, column: usize) -> Result<u32, StoreError> {
        u32::try_from(self.int(column)?).map_err(|_| damaged(column, "count"))
    }

    pub(crate) fn text(&self, column: usize) -> Result<&str, StoreError> {
        self.text_or_null(column)?
            .ok_or_else(|| damaged(column, "text"))
    }

    pub(crate) fn bytes<const N: usize>(&self, column: usize) -> Result<[u8; N], StoreError> {
        let bytes = self.bytes_or_null(column)?;
        bytes
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or_else(|| damaged(column, "bytes of that length"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_any_length_make_few_texts() {
        let texts = |lengths: std::ops::RangeInclusive<i64>| {
            let texts = lengths.map(|length| list((0..length).map(Value::from).collect()).0);
            texts.collect::<std::collections::BTreeSet<String>>().len()
        };
        assert_eq!(texts(1..=1_000), 4);
        let (places, values) = list(vec![Value::from(7_i64), Value::from(8_i64)]);
        assert_eq!(places, "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10");
        let expected = [7_i64, 8, 8, 8, 8, 8, 8, 8, 8, 8].map(Value::from);
        assert_eq!(values, expected);
    }
}
