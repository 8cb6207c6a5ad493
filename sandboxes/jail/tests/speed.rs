//! Not a promise: prints how long a sandbox takes, from nothing to the first byte of its program. Never fails by it.

mod support;

use std::time::Instant;

use support::{as_each_user, attempt, exec};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

#[test]
fn time_to_the_first_byte() {
    as_each_user("time_to_the_first_byte", async |house| {
        let (mut all, mut late) = (Vec::new(), Vec::new());
        for n in 0..60 {
            let from = Instant::now();
            let prepared = house.jailer.prepare(house.plan(&format!("speed-{n}"))).await.expect("a sandbox");
            let ready = from.elapsed();
            let mut running = prepared.run(exec(&attempt(&["hello"]))).await.expect("a running program");
            let mut out = pipe::Receiver::from_owned_fd(running.stdout.take().expect("a pipe")).expect("a pipe");
            let mut said = [0; 5];
            out.read_exact(&mut said).await.expect("the first bytes");
            let done = from.elapsed();
            assert_eq!(&said, b"hello");
            all.push(done);
            late.push(done - ready);
            running.wait().await;
        }
        all.sort();
        late.sort();
        let user = if support::is_root() { "root" } else { "ordinary user" };
        println!(
            "{user}: prepare and run min {:?} p50 {:?}; run alone min {:?} p50 {:?}",
            all[0], all[30], late[0], late[30]
        );
    });
}
