//! The code of the first administrator, handed over in a file that only the owner of the home can read.
