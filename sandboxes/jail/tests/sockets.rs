//! Promise: the node serves a sandbox's own network without entering it.

mod support;

use std::os::fd::OwnedFd;

use dormouse_jail::{ExitKind, Listen, LocalRange};
use support::{as_each_user, exec, read_all, shell};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn tcp(fd: OwnedFd) -> tokio::net::TcpListener {
    tokio::net::TcpListener::from_std(fd.into()).expect("a listener")
}

const CLIENT: &str = r#"
import socket
def ask(family, to):
    s = socket.socket(family, socket.SOCK_STREAM); s.connect(to); print(s.recv(99).decode())
ask(socket.AF_INET, ("127.0.0.1", 9001))
ask(socket.AF_INET, ("198.18.7.9", 443))
ask(socket.AF_UNIX, "/run/node.sock")
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.sendto(b"asked", ("127.0.0.1", 53)); print(u.recv(99).decode())
s = socket.socket(fileno=3); s.sendall(b"from inside"); print(s.recv(99).decode())
"#;

#[test]
fn every_kind_of_socket_is_served_from_outside() {
    as_each_user("every_kind_of_socket_is_served_from_outside", async |house| {
        let python = std::path::Path::new("/usr/bin/python3");
        assert!(python.exists(), "this test needs /usr/bin/python3: apt-get install python3");
        let mut plan = house.plan("sockets");
        plan.sockets = vec![
            Listen::Tcp("127.0.0.1:9001".parse().expect("an address")),
            Listen::Tcp("0.0.0.0:443".parse().expect("an address")),
            Listen::Unix("/run/node.sock".into()),
            Listen::Udp("127.0.0.1:53".parse().expect("an address")),
        ];
        plan.local_ranges = vec![LocalRange { base: [198, 18, 0, 0].into(), prefix: 15 }];
        let mut prepared = house.jailer.prepare(plan).await.expect("a sandbox");
        let mut sockets = std::mem::take(&mut prepared.sockets).into_iter();
        let mut next = || sockets.next().expect("a socket");
        let (plain, ranged) = (tcp(next()), tcp(next()));
        let unix = tokio::net::UnixListener::from_std(next().into()).expect("a listener");
        let udp = tokio::net::UdpSocket::from_std(next().into()).expect("a socket");

        let mut exec = exec(&["/usr/bin/python3", "-I", "-S", "-c", CLIENT]);
        exec.channel_fd = Some(3);
        let mut running = prepared.run(exec).await.expect("a running program");
        let channel: OwnedFd = running.channel.take().expect("a channel");
        let mut channel = tokio::net::UnixStream::from_std(channel.into()).expect("a stream");
        let served = async {
            plain.accept().await.expect("a client").0.write_all(b"plain").await.expect("sent");
            let (mut client, _) = ranged.accept().await.expect("a client");
            let asked = client.local_addr().expect("an address");
            client.write_all(asked.to_string().as_bytes()).await.expect("sent");
            drop(client);
            unix.accept().await.expect("a client").0.write_all(b"unix").await.expect("sent");
            let mut question = [0; 16];
            let (read, from) = udp.recv_from(&mut question).await.expect("a question");
            assert_eq!(&question[..read], b"asked");
            udp.send_to(b"answered", from).await.expect("sent");
            let mut said = [0; 11];
            channel.read_exact(&mut said).await.expect("a message");
            assert_eq!(&said, b"from inside");
            channel.write_all(b"from outside").await.expect("sent");
        };
        let (stdout, stderr) = (running.stdout.take(), running.stderr.take());
        let ((), out, err) = tokio::join!(served, read_all(stdout), read_all(stderr));
        assert_eq!(out, "plain\n198.18.7.9:443\nunix\nanswered\nfrom outside\n", "{err}");
        assert_eq!(running.wait().await.exit, ExitKind::Status(0));
    });
}

#[test]
fn a_program_can_serve_itself() {
    as_each_user("a_program_can_serve_itself", async |house| {
        let script = "exec /usr/bin/python3 -I -S -c 'import socket
l = socket.create_server((\"localhost\", 0)); c = socket.create_connection(l.getsockname()); print(\"reached\")'";
        let (said, _) = house.run(house.plan("own"), &shell(script)).await;
        assert_eq!(said, "reached\n");
    });
}
