//! No connection waits for another's flood.

use crate::client::Client;
use crate::echo::{Echo, Kind};
use crate::scene::{assert_nothing_is_held, join, on_core, start, until};
use runtime::Runtime;
use server::{Config, ConnectionLimits, Server};
use std::rc::Rc;
use std::time::Duration;

/// Connections that the server knows already, and what it remembers of their requests.
async fn known(rt: &Runtime, n: usize) -> (Server<Echo>, Rc<Echo>, Vec<Client>) {
    let limits = ConnectionLimits::new(1000, 1000);
    let (server, address, echo) = start(rt, Config::default(), limits).await;
    let thread = std::thread::spawn(move || {
        let mut clients: Vec<_> = (0..n).map(|_| Client::connect(address)).collect();
        clients.iter_mut().for_each(Client::ping);
        clients
    });
    let clients = join(rt, thread).await;
    echo.handled.borrow_mut().clear();
    (server, echo, clients)
}

/// A thousand small requests. They fit into the sockets: the server need not read meanwhile, and cannot, because this runs
/// on its thread.
fn flood(client: &mut Client) {
    let requests: Vec<_> = (0..1000).map(|_| client.request(Kind::Now, &[1; 20])).collect();
    client.send(&requests.concat());
}

fn port(client: &Client) -> u16 {
    client.stream.local_addr().unwrap().port()
}

#[test]
fn a_ping_behind_ten_floods_does_not_wait_for_their_end() {
    on_core(|rt| async move {
        let (server, echo, mut clients) = known(&rt, 11).await;
        clients.iter_mut().take(10).for_each(flood);
        clients[10].ask(Kind::Now, b"ping");
        until(&rt, || echo.handled.borrow().len() == 10_001).await;
        let ping = port(&clients[10]);
        let at = echo.handled.borrow().iter().position(|(p, _)| *p == ping).unwrap();
        // Each of the ten had at most one turn of 32 requests before.
        assert!(at <= 10 * 32, "the ping was request {at} of 10,001");
        drop(clients);
        server.drain(Duration::from_secs(10)).await;
        assert_nothing_is_held(&server.counters());
    });
}

#[test]
fn floods_advance_together() {
    on_core(|rt| async move {
        let (server, echo, mut clients) = known(&rt, 10).await;
        clients.iter_mut().for_each(flood);
        until(&rt, || echo.handled.borrow().len() == 10_000).await;
        let handled = echo.handled.take();
        // The ping was request 0.
        let end = handled.iter().position(|(_, number)| *number == 1000).unwrap();
        for client in &clients {
            let done = handled.iter().take(end).filter(|(p, _)| *p == port(client)).count();
            assert!(done >= 750, "{done} of 1,000 when another had all");
        }
        drop(clients);
        server.drain(Duration::from_secs(10)).await;
        assert_nothing_is_held(&server.counters());
    });
}

/// A turn is time as well as requests: thirty that keep the core busy must not all come before another's ping.
#[test]
fn a_ping_does_not_wait_for_many_requests_that_are_much_work() {
    on_core(|rt| async move {
        let (server, echo, mut clients) = known(&rt, 2).await;
        let busy: Vec<_> = (0..30).map(|_| clients[0].request(Kind::Busy(15), &[1; 20])).collect();
        clients[0].send(&busy.concat());
        clients[1].ask(Kind::Now, b"ping");
        until(&rt, || echo.handled.borrow().len() == 31).await;
        let ping = port(&clients[1]);
        let at = echo.handled.borrow().iter().position(|(p, _)| *p == ping).unwrap();
        assert!(at <= 3, "the ping was request {at} of 31");
        drop(clients);
        server.drain(Duration::from_secs(10)).await;
        assert_nothing_is_held(&server.counters());
    });
}
