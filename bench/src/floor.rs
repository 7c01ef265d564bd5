//! The least that a server on this stack can do: it answers every message with the same bytes.
//!
//! The runtime, the WebSocket library, the sockets' options and the buffers are the gateway's;
//! nothing is parsed, and nothing passes from one task to another but a push to everybody. Answers
//! to what was read together are flushed together.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use async_channel::{Receiver, Sender};
use async_net::TcpStream;
use async_tungstenite::WebSocketStream;
use async_tungstenite::tungstenite::protocol::WebSocketConfig;
use async_tungstenite::tungstenite::{Error, Message, Utf8Bytes};
use futures_lite::{StreamExt, future, stream::Stream};
use futures_sink::Sink;
use openclaw_protocol_core::limits::MAX_PAYLOAD;
use openclaw_runtime_smol::threads;
use socket2::{Domain, Socket, Type};

use crate::fanout::MESSAGE;

const CHALLENGE: &str = r#"{"type":"event","event":"connect.challenge","payload":{"nonce":"123e4567-e89b-42d3-a456-426614174000","ts":1700000000000}}"#;
/// About as long as a gateway's.
const HELLO: usize = 1_500;
const BACKLOG: i32 = 1_024;

/// What the floor says.
struct Lines {
    hello: Utf8Bytes,
    answer: Utf8Bytes,
    push: Utf8Bytes,
    everybody: Mutex<Vec<Sender<Utf8Bytes>>>,
}

/// Serves for ever.
pub(crate) fn serve(port: u16, answer: usize) -> io::Result<()> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&std::net::SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
    socket.listen(BACKLOG)?;
    let listener = smol::Async::new(TcpListener::from(socket))?;
    let lines = Arc::new(Lines {
        hello: filled(
            r#"{"type":"res","id":"c","ok":true,"payload":{"type":"hello-ok","x":""#,
            HELLO,
        ),
        answer: filled(
            r#"{"type":"res","id":"c","ok":true,"payload":{"x":""#,
            answer,
        ),
        push: filled(
            r#"{"type":"event","event":"chat","payload":{"state":"final","message":""#,
            MESSAGE + 200,
        ),
        everybody: Mutex::default(),
    });
    threads::run(|executor| async move {
        let listener = async_net::TcpListener::from(listener);
        loop {
            let (stream, _) = listener.accept().await?;
            let lines = Arc::clone(&lines);
            executor
                .spawn(async move {
                    let _ = talk(stream, lines).await;
                })
                .detach();
            future::yield_now().await;
        }
    })
}

fn filled(start: &str, bytes: usize) -> Utf8Bytes {
    let filler = "x".repeat(bytes.saturating_sub(start.len() + 3));
    format!(r#"{start}{filler}"}}}}"#).into()
}

async fn talk(stream: TcpStream, lines: Arc<Lines>) -> Result<(), Error> {
    stream.set_nodelay(true)?;
    let config = WebSocketConfig::default()
        .read_buffer_size(4 << 10)
        .write_buffer_size(64 << 10)
        .max_write_buffer_size(256 << 10)
        .max_frame_size(Some(MAX_PAYLOAD))
        .max_message_size(Some(MAX_PAYLOAD));
    let mut websocket = Box::pin(async_tungstenite::accept_async_with_config(
        stream,
        Some(config),
    ))
    .await?;
    websocket.send(Message::Text(CHALLENGE.into())).await?;
    if websocket.next().await.is_none() {
        return Ok(());
    }
    websocket.send(Message::Text(lines.hello.clone())).await?;
    let (push, pushes) = async_channel::unbounded();
    lines
        .everybody
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(push);
    let mut conversation = Conversation {
        websocket,
        pushes: Box::pin(pushes),
        lines,
    };
    future::poll_fn(|cx| conversation.poll(cx)).await
}

struct Conversation {
    websocket: WebSocketStream<TcpStream>,
    pushes: Pin<Box<Receiver<Utf8Bytes>>>,
    lines: Arc<Lines>,
}

impl Conversation {
    /// Answers all that is there, then flushes; ready when the peer is gone.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        while let Poll::Ready(Some(push)) = self.pushes.as_mut().poll_next(cx) {
            Pin::new(&mut self.websocket).start_send(Message::Text(push))?;
        }
        loop {
            match Pin::new(&mut self.websocket).poll_next(cx) {
                Poll::Ready(None) => return Poll::Ready(Ok(())),
                Poll::Ready(Some(Ok(Message::Text(text)))) => {
                    if text.as_str().contains(r#""method":"agent""#) {
                        self.tell_everybody();
                    } else {
                        let answer = Message::Text(self.lines.answer.clone());
                        Pin::new(&mut self.websocket).start_send(answer)?;
                    }
                }
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                Poll::Pending => break,
            }
        }
        let _ = Pin::new(&mut self.websocket).poll_flush(cx)?;
        Poll::Pending
    }

    fn tell_everybody(&self) {
        let everybody = &self.lines.everybody;
        everybody
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|peer| peer.try_send(self.lines.push.clone()).is_ok());
    }
}
