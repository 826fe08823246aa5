//! The fifty queries that host applications run on the tables: that they run, and that the API does as they do.

mod by_api;
mod by_queries;
mod deed;
mod dice;
mod difference;
mod facts;
mod playoff;
mod promise;
mod readers;
mod side;
mod statement;
