//! Where there is no room for everybody.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV6, TcpStream};

use openclaw_protocol_core::limits::Limits;
use openclaw_runtime_smol::server::{Endpoint, Server, ServerLimits};
use socket2::{Domain, Socket, Type};

use crate::desk::{Gateway, calm};
use crate::wire::{Client, TEXT, header};

#[test]
fn the_oldest_socket_without_hello_makes_room() {
    let gateway = Gateway::with(Limits {
        strangers: 3,
        ..calm()
    });
    let mut friend = gateway.client();
    let mut strangers: Vec<Client> = (0..5).map(|_| gateway.stranger()).collect();
    for stranger in &mut strangers[..2] {
        assert_eq!(
            stranger.closed(),
            (1013, "too many connections without a handshake".to_owned())
        );
        stranger.close(1013);
        stranger.gone();
    }
    for stranger in &mut strangers[2..] {
        stranger.connect();
    }
    friend.ask("health", "{}");
}

#[test]
fn the_oldest_http_socket_makes_room() {
    let gateway = Gateway::with_both(
        calm(),
        ServerLimits {
            http_sockets: 2,
            ..ServerLimits::default()
        },
    );
    let mut friend = gateway.client();
    let mut first = Client::tcp(gateway.address);
    first.send("GET /health HT");
    let mut others: Vec<Client> = (0..2).map(|_| Client::tcp(gateway.address)).collect();
    first.gone();
    for other in &mut others {
        let _ = other
            .stream
            .write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        other.gone();
    }
    friend.ask("health", "{}");
}

#[test]
fn the_socket_that_holds_most_of_an_unfinished_message_makes_room() {
    let gateway = Gateway::with_both(
        calm(),
        ServerLimits {
            input_in_all: 1 << 20,
            ..ServerLimits::default()
        },
    );
    let (mut greedy, mut modest) = (gateway.client(), gateway.client());
    let part = vec![0; 400 << 10];
    modest.send(header(true, TEXT, 600 << 10));
    modest.send(&part);
    greedy.send(header(true, TEXT, 2 << 20));
    greedy.send(&part);
    greedy.send(&part);
    assert_eq!(
        greedy.closed(),
        (1008, "too much sent that is not dealt with yet".to_owned())
    );
    gateway.client().ask("health", "{}");
    let mut rest = vec![b' '; (600 << 10) - part.len()];
    rest[0] = b'x';
    modest.send(&rest);
    assert!(
        modest.text().contains("must be JSON"),
        "the other one's message still arrives"
    );
}

fn any_port(address: impl Into<std::net::IpAddr>) -> Endpoint {
    Endpoint {
        address: SocketAddr::new(address.into(), 0),
        required: true,
    }
}

#[test]
fn an_address_in_use_is_an_error_that_says_so() {
    let gateway = Gateway::calm();
    let taken = Endpoint {
        address: gateway.address,
        required: false,
    };
    let error = Server::bind(&[taken]).unwrap_err();
    assert!(error.is_in_use());
    assert_eq!(error.address, gateway.address);
}

#[test]
fn an_address_of_another_host_is_an_error_only_where_it_is_required() {
    let elsewhere = |required| Endpoint {
        address: SocketAddr::from(([192, 0, 2, 1], 0)),
        required,
    };
    let here = any_port(Ipv4Addr::LOCALHOST);
    assert!(!Server::bind(&[elsewhere(true)]).unwrap_err().is_in_use());
    let server = Server::bind(&[here, elsewhere(false)]).unwrap();
    assert_eq!(server.addresses().len(), 1);
}

#[test]
fn several_endpoints_without_a_port_share_the_one_that_was_given() {
    let endpoints = [
        any_port(Ipv4Addr::LOCALHOST),
        any_port(Ipv4Addr::new(127, 0, 0, 2)),
    ];
    let server = Server::bind(&endpoints).unwrap();
    let gateway = Gateway::on(server, calm(), ServerLimits::default());
    assert_eq!(gateway.addresses.len(), 2);
    assert_eq!(gateway.addresses[0].port(), gateway.addresses[1].port());
    for address in &gateway.addresses {
        let mut client = Client::upgrade(*address);
        assert!(client.text().contains("connect.challenge"));
        client.connect();
        client.ask("health", "{}");
    }
}

#[test]
fn a_mapped_loopback_address_is_loopback() {
    let gateway = Gateway::calm();
    let Ok(socket) = Socket::new(Domain::IPV6, Type::STREAM, None) else {
        return;
    };
    let mapped = Ipv4Addr::LOCALHOST.to_ipv6_mapped();
    let address = SocketAddr::V6(SocketAddrV6::new(mapped, gateway.address.port(), 0, 0));
    if socket.set_only_v6(false).is_err() || socket.connect(&address.into()).is_err() {
        return;
    }
    let mut client = Client::over(TcpStream::from(socket));
    client.send(crate::wire::UPGRADE);
    client.upgraded();
    client.text();
    client.connect();
    let peer = gateway.ask(|desk, _, _| desk.peers.pop().unwrap());
    assert_eq!(peer.address, Ipv4Addr::LOCALHOST);
    assert!(peer.direct_loopback);
}
