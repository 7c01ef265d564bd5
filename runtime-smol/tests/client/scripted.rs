//! A gateway that says what a test tells it to, in raw text, so that no codec of ours stands
//! between a test and the wire.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use async_net::{TcpListener, TcpStream};
use async_tungstenite::tungstenite::protocol::frame::CloseFrame;
use async_tungstenite::tungstenite::protocol::{Message, WebSocketConfig};
use async_tungstenite::{WebSocketStream, accept_async_with_config};
use futures_lite::{FutureExt, StreamExt};
use openclaw_protocol_core::frame::inbound::Inbound;
use openclaw_protocol_core::json::Json;
use smol::Task;
use socket2::{Domain, Socket, Type};

/// Runs a test's future; a test that hangs fails instead.
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    let late = async {
        smol::Timer::after(Duration::from_secs(30)).await;
        panic!("the test hangs");
    };
    smol::block_on(test.or(late))
}

/// Starts a gateway that follows `script` with its first connection, and gives its address.
pub(crate) async fn gateway<F, Fut>(script: F) -> (String, Task<()>)
where
    F: FnOnce(Peer) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send,
{
    bare(|stream| async {
        // No write may exceed a message, whatever its size.
        let config = WebSocketConfig::default().max_frame_size(Some(64 << 20));
        let socket = accept_async_with_config(stream, Some(config))
            .await
            .unwrap();
        script(Peer { socket }).await;
    })
    .await
}

/// Starts a server that speaks no WebSocket by itself.
pub(crate) async fn bare<F, Fut>(script: F) -> (String, Task<()>)
where
    F: FnOnce(TcpStream) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    let task = smol::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        script(stream).await;
    });
    (url, task)
}

/// A gateway that takes one connection after the other, and can be gone in between.
pub(crate) struct Lab {
    listener: Option<TcpListener>,
    port: u16,
    /// Keeps the port while nobody listens.
    place: Option<Socket>,
}

impl Lab {
    pub(crate) async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        Self {
            listener: Some(listener),
            port,
            place: None,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://127.0.0.1:{}", self.port)
    }

    /// Takes the next connection.
    pub(crate) async fn accept(&self) -> Peer {
        let (stream, _) = self.listener.as_ref().unwrap().accept().await.unwrap();
        let socket = accept_async_with_config(stream, None).await.unwrap();
        Peer { socket }
    }

    /// Takes the next connection and lets it in.
    pub(crate) async fn welcome(&self) -> Peer {
        let mut peer = self.accept().await;
        peer.welcome().await;
        peer
    }

    /// Takes the next connection and turns it away, and says what it presented.
    pub(crate) async fn refuse(&self, error: &str) -> Asked {
        let mut peer = self.accept().await;
        let connect = peer.challenge().await;
        peer.fail(&connect, &format!(r#""error":{error}"#)).await;
        connect
    }

    /// Stops listening.
    pub(crate) fn go(&mut self) {
        self.listener = None;
        let place = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        place.set_reuse_address(true).unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        place.bind(&address.into()).unwrap();
        self.place = Some(place);
    }

    /// Listens again, at the same place.
    pub(crate) async fn come_back(&mut self) {
        self.listener = Some(TcpListener::bind(("127.0.0.1", self.port)).await.unwrap());
    }
}

/// The gateway's end of one connection.
pub(crate) struct Peer {
    pub(crate) socket: WebSocketStream<TcpStream>,
}

/// A request that the gateway got.
pub(crate) struct Asked {
    pub(crate) id: String,
    pub(crate) method: String,
    pub(crate) params: Option<Json>,
}

impl Peer {
    /// Challenges, takes `connect` and says hello, with ticks every 30 s.
    pub(crate) async fn welcome(&mut self) -> Asked {
        self.welcome_with("30000").await
    }

    pub(crate) async fn welcome_with(&mut self, tick_interval_ms: &str) -> Asked {
        let connect = self.challenge().await;
        self.answer(
            &connect,
            &format!(
                r#"{{"type":"hello-ok","protocol":4,"server":{{"version":"9.9","connId":"c1"}},"features":{{}},"auth":{{"role":"operator","scopes":["operator.read"]}},"policy":{{"maxPayload":26214400,"maxBufferedBytes":52428800,"tickIntervalMs":{tick_interval_ms}}},"novelty":1}}"#
            ),
        )
        .await;
        connect
    }

    /// Challenges, takes `connect` and says this hello.
    pub(crate) async fn welcome_saying(&mut self, hello: &str) {
        let connect = self.challenge().await;
        self.answer(&connect, hello).await;
    }

    /// Challenges and takes `connect`.
    pub(crate) async fn challenge(&mut self) -> Asked {
        self.say(r#"{"type":"event","event":"connect.challenge","payload":{"nonce":"n","ts":1}}"#)
            .await;
        let connect = self.asked().await;
        assert_eq!(connect.method, "connect");
        connect
    }

    /// Waits for the next request.
    pub(crate) async fn asked(&mut self) -> Asked {
        loop {
            match self.socket.next().await.unwrap().unwrap() {
                Message::Text(text) => {
                    let Inbound::Request(request) = Inbound::decode(&text.into()) else {
                        panic!("the client sent something that is no request");
                    };
                    return Asked {
                        id: request.id.into(),
                        method: request.method.into(),
                        params: request.params,
                    };
                }
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("the client sent {other:?} instead of a request"),
            }
        }
    }

    /// Waits for the client's close, and says its code and reason.
    pub(crate) async fn closed(&mut self) -> Option<(u16, String)> {
        loop {
            match self.socket.next().await?.ok()? {
                Message::Close(frame) => {
                    return frame.map(|frame| (frame.code.into(), frame.reason.to_string()));
                }
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("the client sent {other:?} instead of a close"),
            }
        }
    }

    pub(crate) async fn say(&mut self, text: impl Into<String>) {
        let message = Message::Text(text.into().into());
        self.socket.send(message).await.unwrap();
    }

    pub(crate) async fn push(&mut self, event: &str, payload: &str, seq: u64) {
        self.say(format!(
            r#"{{"type":"event","event":"{event}","payload":{payload},"seq":{seq}}}"#
        ))
        .await;
    }

    pub(crate) async fn answer(&mut self, to: &Asked, payload: &str) {
        self.say(format!(
            r#"{{"type":"res","id":"{}","ok":true,"payload":{payload}}}"#,
            to.id
        ))
        .await;
    }

    pub(crate) async fn fail(&mut self, to: &Asked, rest: &str) {
        self.say(format!(
            r#"{{"type":"res","id":"{}","ok":false,{rest}}}"#,
            to.id
        ))
        .await;
    }

    /// Closes, and waits until the client has answered and hung up.
    pub(crate) async fn close(&mut self, code: u16, reason: &str) {
        let frame = CloseFrame {
            code: code.into(),
            reason: reason.to_owned().into(),
        };
        let message = Message::Close(Some(frame));
        self.socket.send(message).await.unwrap();
        let mut answered = false;
        while let Some(message) = self.socket.next().await {
            answered |= matches!(message, Ok(Message::Close(_)));
        }
        assert!(answered, "the client did not answer the close");
    }
}
