// One goroutine, one socket: each datagram is answered by a number from 1 to 1000.
package main

import (
	"fmt"
	"math/rand"
	"net"
	"os"
	"strconv"
	"time"
)

func main() {
	address, err := net.ResolveUDPAddr("udp4", ":"+os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	c, err := net.ListenUDP("udp4", address)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Fprintln(os.Stderr, "udp: listening on", c.LocalAddr())
	rand.Seed(time.Now().UnixNano())
	buffer := make([]byte, 65536)
	for {
		_, peer, err := c.ReadFromUDP(buffer)
		if err != nil {
			continue
		}
		answer := strconv.Itoa(rand.Intn(1000) + 1)
		c.WriteToUDP([]byte(answer), peer)
	}
}
