//! A node that runs, and a gateway that says to it what a test wants.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use async_tungstenite::tungstenite::protocol::Message;
use async_tungstenite::{WebSocketStream, accept_async};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::{Value, json};
use smol::future::{Future, FutureExt};
use smol::net::{TcpListener, TcpStream};
use smol::stream::StreamExt;

use super::{Home, PATIENCE, lines, wait};

/// A node; dropping it ends it.
pub(crate) struct Node {
    child: Child,
    out: Receiver<String>,
    log: Receiver<String>,
    said: Vec<String>,
}

/// A node that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) log: String,
    pub(crate) took: Duration,
}

impl Node {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            out: lines(child.stdout.take().unwrap(), Arc::default()),
            log: lines(child.stderr.take().unwrap(), Arc::default()),
            child,
            said: Vec::new(),
        }
    }

    /// Waits for a line that it prints, and returns it.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        while let Ok(line) = self.out.recv_timeout(PATIENCE) {
            self.said.push(line.clone());
            if line.contains(text) {
                return line;
            }
        }
        let log: Vec<String> = self.log.try_iter().collect();
        panic!("never said {text:?}: {:#?}\n{log:#?}", self.said);
    }

    /// Ends it with a signal, and waits for its end.
    pub(crate) fn stop(self, signal: Signal) -> Ended {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
        self.end()
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> Ended {
        let began = Instant::now();
        let code = wait(&mut self.child);
        let took = began.elapsed();
        self.said.extend(self.out.iter());
        let log: Vec<String> = self.log.iter().collect();
        Ended {
            code,
            out: self.said.join("\n"),
            log: log.join("\n"),
            took,
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Home {
    /// Starts a node; flags have no spaces.
    pub(crate) fn node(&self, flags: &str) -> Node {
        let args = ["node", "run"].into_iter().chain(flags.split_whitespace());
        Node::start(self.command(args))
    }

    /// Makes a program of a shell script.
    pub(crate) fn script(&self, name: &str, body: &str) -> String {
        let path = self.path(name);
        fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

/// Waits until a file has a line, and returns it.
pub(crate) fn line_in(path: &PathBuf) -> String {
    let until = Instant::now() + PATIENCE;
    loop {
        match fs::read_to_string(path) {
            Ok(text) if text.ends_with('\n') => return text.trim().to_owned(),
            _ => assert!(Instant::now() < until, "nothing in {}", path.display()),
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Waits until a process is gone.
#[track_caller]
pub(crate) fn is_gone(pid: &str) {
    let pid = Pid::from_raw(pid.parse().unwrap()).unwrap();
    let until = Instant::now() + PATIENCE;
    while test_kill_process(pid).is_ok() {
        assert!(Instant::now() < until, "{pid:?} still runs");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Runs a test's future; a test that hangs fails instead.
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    let late = async {
        smol::Timer::after(PATIENCE * 2).await;
        panic!("the test hangs");
    };
    smol::block_on(test.or(late))
}

/// A gateway that takes one connection after the other.
pub(crate) struct Lab {
    listener: TcpListener,
}

impl Lab {
    pub(crate) async fn new() -> Self {
        Self {
            listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
        }
    }

    /// The flags that lead a node here.
    pub(crate) fn flags(&self) -> String {
        format!("--url {} --token hunter2-hunter2", self.url())
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}", self.listener.local_addr().unwrap())
    }

    /// Takes the next connection, and its `connect`.
    pub(crate) async fn accept(&self) -> (Peer, Value) {
        let (stream, _) = self.listener.accept().await.unwrap();
        let socket = accept_async(stream).await.unwrap();
        let mut peer = Peer { socket };
        peer.push("connect.challenge", json!({"nonce": "n", "ts": 1}))
            .await;
        let connect = peer.asked("connect").await;
        (peer, connect)
    }

    /// Takes the next connection, and lets it in; what it offers is approved.
    pub(crate) async fn welcome(&self) -> Peer {
        self.welcome_with(26_214_400).await
    }

    pub(crate) async fn welcome_with(&self, max_payload: u64) -> Peer {
        let (mut peer, connect) = self.accept().await;
        peer.answer(&connect, hello(max_payload)).await;
        let event = peer.asked("node.event").await;
        peer.answer(&event, json!({"ok": true})).await;
        peer
    }

    /// Takes the next connection, and turns it away.
    pub(crate) async fn refuse(&self, code: &str, details: Value) -> Value {
        let (mut peer, connect) = self.accept().await;
        peer.fail(&connect, code, details).await;
        connect
    }
}

/// What a gateway says to a node that it lets in.
pub(crate) fn hello(max_payload: u64) -> Value {
    json!({
        "type": "hello-ok", "protocol": 4,
        "server": {"version": "9.9", "connId": "c1"},
        "features": {},
        "auth": {"role": "node", "scopes": [], "deviceToken": "hunter3-hunter3"},
        "policy": {"maxPayload": max_payload, "maxBufferedBytes": 52_428_800, "tickIntervalMs": 30_000},
    })
}

/// The gateway's end of one connection.
pub(crate) struct Peer {
    socket: WebSocketStream<TcpStream>,
}

impl Peer {
    pub(crate) async fn push(&mut self, event: &str, payload: Value) {
        self.say(&json!({"type": "event", "event": event, "payload": payload}))
            .await;
    }

    /// Has the node do something, however long it takes.
    pub(crate) async fn invoke(&mut self, id: &str, command: &str, params: Value) {
        self.invoke_within(id, command, params, 0).await;
    }

    pub(crate) async fn invoke_within(
        &mut self,
        id: &str,
        command: &str,
        params: Value,
        timeout_ms: u64,
    ) {
        let request = json!({
            "id": id, "nodeId": "n", "command": command, "paramsJSON": params.to_string(),
            "timeoutMs": timeout_ms, "idempotencyKey": "k",
        });
        self.push("node.invoke.request", request).await;
    }

    /// Waits for the next answer of the node.
    pub(crate) async fn result(&mut self) -> Value {
        let request = self.asked("node.invoke.result").await;
        self.answer(&request, json!({"ok": true})).await;
        request["params"].clone()
    }

    /// Waits for the next request, which must be for this method.
    pub(crate) async fn asked(&mut self, method: &str) -> Value {
        let request = self.heard().await.unwrap();
        assert_eq!(request["method"], method, "{request:#}");
        request
    }

    /// Waits for the next message; none when the node has hung up.
    pub(crate) async fn heard(&mut self) -> Option<Value> {
        loop {
            match self.socket.next().await?.ok()? {
                Message::Text(text) => return Some(serde_json::from_str(&text).unwrap()),
                Message::Ping(_) | Message::Pong(_) => {}
                Message::Binary(_) | Message::Close(_) | Message::Frame(_) => return None,
            }
        }
    }

    pub(crate) async fn answer(&mut self, to: &Value, payload: Value) {
        let id = &to["id"];
        self.say(&json!({"type": "res", "id": id, "ok": true, "payload": payload}))
            .await;
    }

    pub(crate) async fn fail(&mut self, to: &Value, code: &str, details: Value) {
        let error = json!({"code": code, "message": "no", "details": details});
        self.fail_with(to, error).await;
    }

    pub(crate) async fn fail_with(&mut self, to: &Value, error: Value) {
        let id = &to["id"];
        self.say(&json!({"type": "res", "id": id, "ok": false, "error": error}))
            .await;
    }

    async fn say(&mut self, message: &Value) {
        let message = Message::Text(message.to_string().into());
        self.socket.send(message).await.unwrap();
    }
}
