//! Many in one: equal statements of a group become one statement over arrays. The cost of a statement
//! to PostgreSQL is mostly not its row, so this is what makes a large group cheap. The one SQL text
//! stays the source; its other form is derived from it here and nowhere else.

use super::session::{Session, borrow};
use crate::driver::CommitError;
use crate::error::StoreError;
use crate::statements::{APPEND_AUDIT, APPEND_CHANGE, MOVE_HEAD, UPDATE_SLOT};
use crate::value::{Statement, Value};
use std::collections::HashSet;
use std::fmt::Write as _;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};

/// What a call answers: rows touched.
pub(super) type Answer<'a> = Pin<Box<dyn Future<Output = Result<u64, tokio_postgres::Error>> + 'a>>;

/// One call for one run of equal statements, or for several runs.
pub(super) struct Call<'a> {
    prepared: tokio_postgres::Statement,
    runs: Vec<Run<'a>>,
}

/// Equal statements, and their parameters turned to columns when there is more than one.
struct Run<'a> {
    statements: &'a [Statement],
    columns: Vec<Vec<&'a Value>>,
}

impl<'a> Run<'a> {
    fn of(statements: &'a [Statement]) -> Self {
        let columns = match statements {
            [] | [_] => Vec::new(),
            [one, ..] => columns(
                statements.iter().map(|one| one.params.as_slice()),
                one.params.len(),
            ),
        };
        Self {
            statements,
            columns,
        }
    }
}

impl Call<'_> {
    pub(super) fn execute<'a>(&'a self, client: &'a Client) -> Answer<'a> {
        Box::pin(async move {
            let mut params: Vec<&(dyn ToSql + Sync)> = Vec::new();
            for run in &self.runs {
                match run.statements {
                    [one] => params.extend(borrow(&one.params)),
                    _ => params.extend(run.columns.iter().map(|all| all as &(dyn ToSql + Sync))),
                }
            }
            client.execute(&self.prepared, &params).await
        })
    }

    /// Whether the answer is a success.
    pub(super) fn judge(
        &self,
        answer: Result<u64, tokio_postgres::Error>,
    ) -> Result<(), CommitError> {
        let Err(error) = answer else { return Ok(()) };
        let run = match error.code() {
            Some(&SqlState::DIVISION_BY_ZERO) => self.runs.first(),
            Some(&SqlState::INVALID_ARGUMENT_FOR_POWER_FUNCTION) => self.runs.get(SLOTS),
            _ => None,
        };
        Err(match run.and_then(|run| run.statements.first()) {
            Some(statement) => CommitError::touched(statement),
            None => failed(error),
        })
    }
}

/// What the failure of a statement that was sent with others and COMMIT after it means: the server's own word is that the
/// transaction is undone, for what the statement says (SQLSTATE classes 22 and 23: its data, a constraint), because of
/// another transaction (a deadlock, `lock_timeout`), or because the server is in trouble. Without such a word, as when the
/// connection ends, the rest may have been carried out.
pub(super) fn failed(error: tokio_postgres::Error) -> CommitError {
    let Some(code) = error.code().map(|code| code.code()) else {
        return CommitError::Unknown(error.into());
    };
    match code.get(..2).unwrap_or_default() {
        _ if matches!(code, "40P01" | "55P03") => CommitError::Contended(error.into()),
        "22" | "23" => CommitError::Refused(error.into()),
        _ => CommitError::RolledBack(error.into()),
    }
}

/// What issuing and ending tokens writes, in this order.
const OF_TOKENS: [&str; 4] = [MOVE_HEAD, APPEND_AUDIT, UPDATE_SLOT, APPEND_CHANGE];
/// The place of the slots among them.
const SLOTS: usize = 2;

/// The statements of [`OF_TOKENS`] as one: each is a part of a WITH clause, which PostgreSQL carries out to its end. The statement
/// fails by a division by zero unless the head was moved, and by the root of a negative number unless all slots were found.
#[derive(Default)]
struct Together {
    parts: Vec<String>,
    /// How many slots there are to find.
    slots: String,
    /// The parameters so far.
    params: usize,
}

impl Together {
    /// Adds a statement for one row or for many; false when it has no form for many.
    fn add(&mut self, sql: &str, types: &[Type], is_many: bool) -> bool {
        let form = match is_many {
            true => many_form(sql, types),
            false => Some(sql.to_owned()),
        };
        let Some(form) = form else { return false };
        if self.parts.len() == SLOTS {
            self.slots = match is_many {
                true => format!("cardinality(${}::bigint[])", self.params + 1),
                false => "1".to_owned(),
            };
        }
        self.parts.push(shifted(&form, self.params));
        self.params += types.len();
        true
    }

    fn text(&self) -> String {
        let [head, audit, slots, log] = self.parts.as_slice() else {
            return String::new();
        };
        format!(
            "WITH head_moved AS ({head} RETURNING 1), audited AS ({audit}), slots AS ({slots} RETURNING 1), logged AS ({log})
            SELECT 1 / (SELECT (count(*) = 1)::int FROM head_moved),
            sqrt((SELECT (count(*) = {})::int FROM slots) - 1)",
            self.slots
        )
    }
}

/// The text with all parameters' numbers larger by `by`.
fn shifted(sql: &str, by: usize) -> String {
    let mut parts = sql.split('$');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        let number = part[..digits].parse::<usize>().unwrap_or_default() + by;
        let _ = write!(out, "${number}{}", &part[digits..]);
    }
    out
}

/// Equal statements that stand together.
pub(super) fn runs(statements: &[Statement]) -> impl Iterator<Item = &[Statement]> {
    statements.chunk_by(|a, b| a.sql == b.sql && !a.fence)
}

/// A form of a statement besides its own.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Form {
    /// For one row; fails when it touches another number of rows.
    Checked,
    /// For the work of many.
    Many,
}

impl Session {
    /// The calls that carry out a run of equal statements: one, if they have a form for many.
    pub(super) async fn calls<'a>(
        &mut self,
        run: &'a [Statement],
    ) -> Result<Vec<Call<'a>>, StoreError> {
        let sql = run[0].sql;
        let one = self.prepare(sql).await?;
        if run.len() > 1
            && distinct(run)
            && let Some(prepared) = self
                .form(Form::Many, sql, || many(sql, one.params()))
                .await?
        {
            return Ok(vec![Call {
                prepared,
                runs: vec![Run::of(run)],
            }]);
        }
        let one = match run[0].touches {
            Some(_) => {
                let form = self.form(Form::Checked, sql, || checked(sql, sql, "1"));
                form.await?.unwrap_or(one)
            }
            None => one,
        };
        let single = |statement| Call {
            prepared: one.clone(),
            runs: vec![Run::of(statement)],
        };
        Ok(run.chunks(1).map(single).collect())
    }

    /// The call that carries out all of these runs, if they are what issuing and ending tokens writes.
    pub(super) async fn call_of_tokens<'a>(
        &mut self,
        runs: &[&'a [Statement]],
    ) -> Result<Option<Call<'a>>, StoreError> {
        let Ok([head, audit, slots, log]) = <[_; 4]>::try_from(runs) else {
            return Ok(None);
        };
        let runs = [head, audit, slots, log];
        if runs.map(|run| run[0].sql) != OF_TOKENS || !distinct(slots) {
            return Ok(None);
        }
        let are_many = runs.map(|run| run.len() > 1);
        if !self.of_tokens.contains_key(&are_many) {
            let mut all = Together::default();
            for (sql, is_many) in OF_TOKENS.into_iter().zip(are_many) {
                let types = self.prepare(sql).await?.params().to_vec();
                if !all.add(sql, &types, is_many) {
                    return Ok(None);
                }
            }
            let prepared = self.client.prepare(&all.text()).await?;
            self.of_tokens.insert(are_many, prepared);
        }
        let prepared = self.of_tokens.get(&are_many).cloned();
        Ok(prepared.map(|prepared| Call {
            prepared,
            runs: runs.map(Run::of).into(),
        }))
    }

    /// Another form of a statement, prepared once; none where it has none.
    async fn form(
        &mut self,
        form: Form,
        sql: &'static str,
        text: impl FnOnce() -> Option<String>,
    ) -> Result<Option<tokio_postgres::Statement>, StoreError> {
        if let Some(known) = self.forms.get(&(form, sql)) {
            return Ok(known.clone());
        }
        let prepared = match text() {
            Some(text) => Some(self.client.prepare(&text).await?),
            None => None,
        };
        self.forms.insert((form, sql), prepared.clone());
        Ok(prepared)
    }

    /// Prepares a query of one parameter list or of many, which travel at once as columns.
    pub(super) async fn question<'a>(
        &mut self,
        sql: &'static str,
        lists: &'a [Vec<Value>],
    ) -> Result<Question<'a>, StoreError> {
        if let [] | [_] = lists {
            let one = self.prepare(sql).await?;
            return Ok(Question::One(one, lists.first().map(Vec::as_slice)));
        }
        let many = self.prepare_for_lists(sql).await?;
        Ok(question_of_many(many, lists))
    }

    /// The form of a query for any number of parameter lists.
    pub(super) async fn prepare_for_lists(
        &mut self,
        sql: &'static str,
    ) -> Result<tokio_postgres::Statement, StoreError> {
        let one = self.prepare(sql).await?;
        let many = self.form(Form::Many, sql, || many_query(sql, one.params()));
        many.await?.ok_or_else(|| no_array(sql))
    }

    /// The answers; each row with its list's place.
    pub(super) async fn ask(
        &self,
        question: Question<'_>,
    ) -> Result<Vec<(usize, tokio_postgres::Row)>, StoreError> {
        ask(&self.client, question).await
    }
}

/// The answers; each row with its list's place.
pub(super) async fn ask(
    client: &Client,
    question: Question<'_>,
) -> Result<Vec<(usize, tokio_postgres::Row)>, StoreError> {
    match question {
        Question::One(_, None) => Ok(Vec::new()),
        Question::One(statement, Some(params)) => {
            let rows = client.query(&statement, &borrow(params)).await?;
            Ok(rows.into_iter().map(|row| (0, row)).collect())
        }
        Question::Many(statement, columns) => {
            let params: Vec<_> = columns
                .iter()
                .map(|column| column as &(dyn ToSql + Sync))
                .collect();
            let rows = client.query(&statement, &params).await?;
            let place = |row: tokio_postgres::Row| {
                let place: i64 = row.try_get(row.len() - 1)?;
                Ok((usize::try_from(place - 1).unwrap_or(usize::MAX), row))
            };
            rows.into_iter().map(place).collect()
        }
    }
}

/// A prepared query with its parameters: of one list, of none at all, or of many lists turned to columns.
pub(super) enum Question<'a> {
    One(tokio_postgres::Statement, Option<&'a [Value]>),
    Many(tokio_postgres::Statement, Vec<Vec<&'a Value>>),
}

/// A prepared query for any number of parameter lists, with these.
pub(super) fn question_of_many(
    prepared: tokio_postgres::Statement,
    lists: &[Vec<Value>],
) -> Question<'_> {
    let width = prepared.params().len();
    let columns = columns(lists.iter().map(Vec::as_slice), width);
    Question::Many(prepared, columns)
}

fn columns<'a>(
    lists: impl Iterator<Item = &'a [Value]> + Clone,
    width: usize,
) -> Vec<Vec<&'a Value>> {
    (0..width)
        .map(|at| lists.clone().map(|list| &list[at]).collect())
        .collect()
}

/// A statement that fails, by a division by zero, unless it touches so many rows: COMMIT is sent before the number is known
/// here. None where it needs no such form: a plain INSERT makes its rows or fails.
fn checked(sql: &str, text: &str, rows: &str) -> Option<String> {
    let plain =
        sql.starts_with("INSERT") && sql.contains("VALUES (") && !sql.contains("ON CONFLICT");
    (!plain).then(|| {
        format!("WITH done AS ({text} RETURNING 1) SELECT 1 / (count(*) = {rows})::int FROM done")
    })
}

/// Whether no two statements name the same row: of two updates in one statement only one would count.
fn distinct(run: &[Statement]) -> bool {
    let mut seen = HashSet::new();
    !run[0].sql.starts_with("UPDATE")
        || run.iter().all(|statement| match statement.params.last() {
            Some(Value::Int(key)) => seen.insert(*key),
            _ => false,
        })
}

/// The form of a statement that does the work of many, and fails when it touches another number of rows.
fn many(sql: &str, types: &[Type]) -> Option<String> {
    let text = many_form(sql, types)?;
    let rows = format!("cardinality({})", arrays(&types[..1])?);
    Some(checked(sql, &text, &rows).unwrap_or(text))
}

/// The statement over arrays: a plain INSERT of its parameters, or an UPDATE of the one row that its
/// last parameter names. None for any other.
fn many_form(sql: &str, types: &[Type]) -> Option<String> {
    let source = unnest(types)?;
    if sql.starts_with("INSERT INTO ") {
        let (head, values) = sql.split_once("VALUES (")?;
        let plain: Vec<String> = (1..=types.len()).map(|n| format!("${n}")).collect();
        (values.trim() == format!("{})", plain.join(", ")))
            .then(|| format!("{head}SELECT * FROM {source}"))
    } else if sql.starts_with("UPDATE ") {
        let (head, condition) = sql.split_once(" WHERE ")?;
        let (_, key) = condition.split_once(" = ")?;
        let by_key = key == format!("${}", types.len());
        by_key.then(|| {
            format!(
                "{} FROM {source} WHERE {}",
                renamed(head),
                renamed(condition)
            )
        })
    } else {
        None
    }
}

/// The form of a query for any number of parameter lists; `one` is its form for one list.
pub(super) fn query_of_lists(
    sql: &str,
    one: &tokio_postgres::Statement,
) -> Result<String, StoreError> {
    many_query(sql, one.params()).ok_or_else(|| no_array(sql))
}

fn no_array(sql: &str) -> StoreError {
    StoreError::Damaged(format!("no array of the parameter types of: {sql}"))
}

/// The query for every row of the arrays, each answer with the row's place behind it; none for types without an
/// array. `OFFSET 0` keeps it a query of its own, which finds rows by their keys also if the plan was made on short tables.
fn many_query(sql: &str, types: &[Type]) -> Option<String> {
    let names: Vec<String> = (1..=types.len()).map(|n| format!("p{n}")).collect();
    let arrays = arrays(types)?;
    Some(format!(
        "SELECT answer.*, v.place FROM unnest({arrays}) WITH ORDINALITY AS v({}, place), LATERAL ({} OFFSET 0) AS answer",
        names.join(", "),
        renamed(sql)
    ))
}

fn unnest(types: &[Type]) -> Option<String> {
    let names: Vec<String> = (1..=types.len()).map(|n| format!("p{n}")).collect();
    Some(format!(
        "unnest({}) AS v({})",
        arrays(types)?,
        names.join(", ")
    ))
}

fn arrays(types: &[Type]) -> Option<String> {
    let array = |(at, ty): (usize, &Type)| {
        let name = match *ty {
            Type::INT8 => "bigint",
            Type::TEXT => "text",
            Type::BYTEA => "bytea",
            _ => return None,
        };
        Some(format!("${}::{name}[]", at + 1))
    };
    let arrays: Option<Vec<String>> = types.iter().enumerate().map(array).collect();
    arrays
        .filter(|arrays| !arrays.is_empty())
        .map(|arrays| arrays.join(", "))
}

/// `$7` as `v.p7`.
fn renamed(sql: &str) -> String {
    let mut out = String::with_capacity(sql.len() + 64);
    for (at, part) in sql.split('$').enumerate() {
        if at > 0 {
            out.push_str("v.p");
        }
        out.push_str(part);
    }
    out
}

/// Runs futures together, each first polled in the order given: what they send goes out in that
/// order, without waiting for the answers in between.
pub(super) async fn in_order<F: Future + Unpin>(
    futures: impl Iterator<Item = F>,
) -> Vec<F::Output> {
    let mut futures: Vec<F> = futures.collect();
    let mut outputs: Vec<Option<F::Output>> = std::iter::repeat_with(|| None)
        .take(futures.len())
        .collect();
    let mut done = 0;
    poll_fn(|cx| {
        for (future, output) in futures.iter_mut().zip(&mut outputs).skip(done) {
            if output.is_none()
                && let Poll::Ready(answer) = Pin::new(future).poll(cx)
            {
                *output = Some(answer);
            }
        }
        // Answers come in order too: what is finished lies before what is not.
        done += outputs[done..]
            .iter()
            .take_while(|output| output.is_some())
            .count();
        if done == outputs.len() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    outputs.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_insert_and_an_update_by_key_have_a_form_for_many() {
        let types = [Type::INT8, Type::TEXT];
        let check =
            |sql: &str, expect: Option<&str>| assert_eq!(many_form(sql, &types).as_deref(), expect);
        check(
            "INSERT INTO t (a, b) VALUES ($1, $2)",
            Some(
                "INSERT INTO t (a, b) SELECT * FROM unnest($1::bigint[], $2::text[]) AS v(p1, p2)",
            ),
        );
        check(
            "UPDATE t SET a = $1 WHERE b = $2",
            Some(
                "UPDATE t SET a = v.p1 FROM unnest($1::bigint[], $2::text[]) AS v(p1, p2) WHERE b = v.p2",
            ),
        );
        check("INSERT INTO t (a, b, c) VALUES ($1, $2, 0)", None);
        check(
            "INSERT INTO t (a, b) VALUES ($1, $2) ON CONFLICT (a) DO NOTHING",
            None,
        );
        check("UPDATE t SET a = $1, b = $2", None);
        check("UPDATE t SET a = $1 WHERE b = $2 AND c = 1", None);
        check("DELETE FROM t WHERE a = $1", None);
    }

    #[test]
    fn the_statements_of_a_generate_have_a_form_for_many() {
        let wide = |n: usize| vec![Type::INT8; n];
        assert!(many_form(APPEND_AUDIT, &wide(9)).is_some());
        assert!(many_form(APPEND_CHANGE, &wide(5)).is_some());
        assert!(many_form(UPDATE_SLOT, &wide(20)).is_some());
    }

    #[test]
    fn two_updates_of_one_row_are_not_one_statement() {
        let update = |key: i64| {
            Statement::one(
                "UPDATE t SET a = $1 WHERE b = $2",
                vec![1_i64.into(), key.into()],
            )
        };
        assert!(distinct(&[update(1), update(2)]));
        assert!(!distinct(&[update(1), update(1)]));
    }
}
