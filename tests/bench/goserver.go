// goserver WORK PORT|/PATH: a goroutine for each connection, which keeps its one reader.
// WORK is echo or text (every byte goes back), line (a line in, a line out), udp (a number
// from 1 to 1000 for each datagram), or ascii or binary (a WebSocket echo on /ws).
package main

import (
	"bufio"
	"fmt"
	"log"
	"math/rand"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/gorilla/websocket"
)

func echo(c net.Conn) {
	defer c.Close()
	buffer := make([]byte, 1024)
	for {
		n, err := c.Read(buffer)
		if err != nil {
			return
		}
		if _, err := c.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func lines(c net.Conn, number int) {
	defer c.Close()
	reader := bufio.NewReader(c)
	for {
		line, err := reader.ReadString('\n')
		if err != nil || strings.TrimSpace(line) == "STOP" {
			return
		}
		if _, err := fmt.Fprintf(c, "Client number: %d\n", number); err != nil {
			return
		}
	}
}

func datagrams(c *net.UDPConn) {
	c.SetReadBuffer(4 << 20)
	buffer := make([]byte, 65536)
	for {
		if _, peer, err := c.ReadFromUDP(buffer); err == nil {
			c.WriteToUDP([]byte(strconv.Itoa(rand.Intn(1000)+1)), peer)
		}
	}
}

func messages(w http.ResponseWriter, r *http.Request) {
	upgrader := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
	c, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer c.Close()
	for {
		kind, message, err := c.ReadMessage()
		if err != nil {
			return
		}
		if err := c.WriteMessage(kind, message); err != nil {
			return
		}
	}
}

func try(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func main() {
	work, network, address := os.Args[1], "tcp4", "127.0.0.1:"+os.Args[2]
	log.SetFlags(0)
	log.SetPrefix("goserver: ")
	if work == "udp" {
		c, err := net.ListenPacket("udp4", address)
		try(err)
		log.Println("listening on", c.LocalAddr())
		datagrams(c.(*net.UDPConn))
	}
	if strings.Contains(os.Args[2], "/") {
		network, address = "unix", os.Args[2]
	}
	l, err := net.Listen(network, address)
	try(err)
	log.Println("listening on", l.Addr())
	if work == "ascii" || work == "binary" {
		http.HandleFunc("/ws", messages)
		try(http.Serve(l, nil))
	}
	for number := 1; ; number++ {
		c, err := l.Accept()
		try(err)
		if work == "line" {
			go lines(c, number)
		} else {
			go echo(c)
		}
	}
}
