//! `--jq QUERY`: a filter over the JSON form of a result.
//!
//! The dialect is that of jaq with its standard library; there is no raw mode, so strings keep their quotes.
//!
//! spec: command 3.1 (`--jq`)

use std::fmt;

use jaq_core::load::{Arena, File, Loader};
use jaq_core::{Compiler, Ctx, Vars, data, unwrap_valr};
use jaq_json::{Val, read};
use serde_json::Value;

/// A query that parsed.
pub(crate) struct Filter(jaq_core::Filter<data::JustLut<Val>>);

/// Why a query could not be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FilterError {
    /// The query does not parse or names something unknown.
    Query(String),
    /// The query failed on this result.
    Run(String),
}

impl Filter {
    /// Parses a query.
    pub(crate) fn parse(query: &str) -> Result<Self, FilterError> {
        let definitions = jaq_core::defs()
            .chain(jaq_std::defs())
            .chain(jaq_json::defs());
        let functions = jaq_core::funs()
            .chain(jaq_std::funs())
            .chain(jaq_json::funs());
        let arena = Arena::default();
        let failed = || FilterError::Query(query.to_owned());
        let modules = Loader::new(definitions)
            .load(
                &arena,
                File {
                    code: query,
                    path: (),
                },
            )
            .map_err(|_| failed())?;
        Compiler::default()
            .with_funs(functions)
            .compile(modules)
            .map(Self)
            .map_err(|_| failed())
    }

    /// All results of the query on one value.
    pub(crate) fn run(&self, value: &Value) -> Result<Vec<Value>, FilterError> {
        let failed = |error: &dyn fmt::Display| FilterError::Run(error.to_string());
        let input =
            read::parse_single(value.to_string().as_bytes()).map_err(|error| failed(&error))?;
        let context = Ctx::<data::JustLut<Val>>::new(&self.0.lut, Vars::new([]));
        self.0
            .id
            .run((context, input))
            .map(unwrap_valr)
            .map(|result| {
                let result = result.map_err(|error| failed(&error))?;
                serde_json::from_str(&result.to_string()).map_err(|error| failed(&error))
            })
            .collect()
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filter").finish_non_exhaustive()
    }
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Query(query) => write!(f, "the query `{query}` of --jq does not parse"),
            Self::Run(reason) => write!(f, "the query of --jq failed: {reason}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_query_gives_any_number_of_results() {
        let filter = Filter::parse(".[] | .name").unwrap();
        let value = json!([{"name": "a"}, {"name": "b\"c"}]);
        assert_eq!(filter.run(&value).unwrap(), [json!("a"), json!("b\"c")]);
        assert_eq!(
            Filter::parse("empty").unwrap().run(&value).unwrap(),
            Vec::<Value>::new()
        );
    }

    #[test]
    fn the_standard_library_is_there() {
        let filter = Filter::parse("map(select(.n > 1)) | length").unwrap();
        assert_eq!(
            filter.run(&json!([{"n": 1}, {"n": 2}])).unwrap(),
            [json!(1)]
        );
    }

    #[test]
    fn what_does_not_parse_or_run_is_an_error() {
        assert_eq!(
            Filter::parse(".[").unwrap_err(),
            FilterError::Query(".[".to_owned())
        );
        assert!(Filter::parse("nothing_of_this_name").is_err());
        assert!(matches!(
            Filter::parse(".a").unwrap().run(&json!(1)),
            Err(FilterError::Run(_))
        ));
    }
}
