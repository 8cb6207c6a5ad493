//! Answers the sandbox's questions for names.

use std::sync::Arc;

use tokio::net::UdpSocket;

use crate::Shared;
use crate::dns::{self, Answer, Question};
use crate::grant::{Reason, Refusal, name_may_resolve};

/// Serves until the socket fails, which it does when the sandbox is gone.
pub(crate) async fn serve(socket: UdpSocket, shared: Arc<Shared>) {
    let mut query = [0; dns::QUERY_BYTES];
    let mut last_refused: Option<String> = None;
    loop {
        let (length, asker) = match socket.recv_from(&mut query).await {
            Ok(received) => received,
            // An answer that nobody took any more shows as an error of the next receive.
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => continue,
            Err(_) => return,
        };
        let Some(question) = dns::read(&query[..length]) else { continue };
        let answer = answer(&question, &shared);
        if let Err(reason) = answer {
            // Libraries ask twice for each name, and again for each search domain; one line is enough.
            if last_refused.as_deref() != Some(&question.name) {
                shared.refuse(&Refusal { host: question.name.clone(), port: None, reason });
                last_refused = Some(question.name.clone());
            }
        }
        let bytes = dns::write(&question, answer.unwrap_or(Answer::NoSuchName));
        // Without room in the asker's buffer the answer is lost, as on any network; it will ask again.
        let _ = socket.send_to(&bytes, asker).await;
    }
}

fn answer(question: &Question, shared: &Shared) -> Result<Answer, Reason> {
    if !name_may_resolve(&shared.grant, &question.name) {
        return Err(Reason::NotGranted);
    }
    if !question.wants_address {
        return Ok(Answer::Nothing);
    }
    shared.names().address_of(&question.name).map(Answer::Address).ok_or(Reason::Limit)
}
