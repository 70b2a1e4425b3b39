// go build server.go; server PORT SLEEP_MS [keep-alive]: Go's net/http, which shuts down as its manual says.
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

func main() {
	sleep, err := strconv.Atoi(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/sleep" {
			time.Sleep(time.Duration(sleep) * time.Millisecond)
		} else if r.URL.Path != "/" {
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, "<h1>Oops!</h1>")
			return
		}
		fmt.Fprint(w, "<h1>Hello!</h1>")
	})
	server := &http.Server{Addr: "127.0.0.1:" + os.Args[1]}
	server.SetKeepAlivesEnabled(len(os.Args) > 3)
	done := make(chan error)
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		<-stop
		done <- server.Shutdown(context.Background())
	}()
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		log.Fatal(err)
	}
	if err := <-done; err != nil {
		log.Fatal(err)
	}
}
