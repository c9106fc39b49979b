//! Speed.
fn main(){}
