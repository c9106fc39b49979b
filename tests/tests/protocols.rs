//! Every protocol passes a mesh unchanged.

use weir_tests::scenario::protocols;
use weir_tests::{Up, able};

#[tokio::test]
async fn protocols_pass_two_sidecars_unchanged() {
    if able::to_run_a_mesh() {
        let mesh = Up::start(&[protocols::MANIFEST]).unwrap();
        protocols::pass_unchanged(&mesh).await.unwrap().check();
    }
}
