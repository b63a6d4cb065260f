// Uses the server as any service written with golang.org/x/oauth2 would: nothing here knows Tokenward.
//
// Reads what `libraries.rs` writes to standard input and fails at the first surprise.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// Uses of a token in a row.
const uses = 20

// The library takes a token for expired ten seconds before its end.
const margin = 10 * time.Second

// Far enough from each end that a slow machine changes nothing.
const slack = 300 * time.Second

type credentials struct {
	ID     string `json:"id"`
	Secret string `json:"secret"`
}

var given struct {
	Issuer  string                 `json:"issuer"`
	Check   string                 `json:"check"`
	Scope   string                 `json:"scope"`
	Clients map[string]credentials `json:"clients"`
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func config(of credentials, style oauth2.AuthStyle) *clientcredentials.Config {
	return &clientcredentials.Config{
		ClientID:     of.ID,
		ClientSecret: of.Secret,
		TokenURL:     given.Issuer + "/oauth2/token",
		Scopes:       strings.Split(given.Scope, " "),
		AuthStyle:    style,
	}
}

// Uses the source's token again and again; which ones were used, and the last.
func use(source oauth2.TokenSource, seen map[string]bool) *oauth2.Token {
	var last *oauth2.Token
	for at := 0; at < uses; at++ {
		token, err := source.Token()
		must(err)
		if scope := token.Extra("scope"); scope != given.Scope && at == 0 && len(seen) == 0 {
			log.Fatalf("scope %v is not %v", scope, given.Scope)
		}
		seen[token.AccessToken] = true
		request, err := http.NewRequest("GET", given.Check, nil)
		must(err)
		token.SetAuthHeader(request)
		answer, err := http.DefaultClient.Do(request)
		must(err)
		answer.Body.Close()
		if answer.StatusCode != 200 {
			log.Fatalf("the check answered %v", answer.Status)
		}
		last = token
	}
	return last
}

// A source that holds this token as the library would after some time: the clock itself can't be set, so the end comes
// nearer instead.
func later(by time.Duration, token *oauth2.Token, fresh oauth2.TokenSource) oauth2.TokenSource {
	moved := *token
	moved.Expiry = token.Expiry.Add(-by)
	return oauth2.ReuseTokenSource(&moved, fresh)
}

func main() {
	must(json.NewDecoder(os.Stdin).Decode(&given))
	context := context.Background()
	for name, seconds := range map[string]int{"hour": 3600, "never": 2147483} {
		life := time.Duration(seconds) * time.Second
		config, seen := config(given.Clients[name], oauth2.AuthStyleInHeader), map[string]bool{}
		token := use(config.TokenSource(context), seen)
		expect := func(tokens int) {
			if len(seen) != tokens {
				log.Fatalf("%s: %d tokens instead of %d", name, len(seen), tokens)
			}
		}
		expect(1)
		use(later(life-margin-slack, token, config.TokenSource(context)), seen)
		expect(1)
		use(later(life+time.Second, token, config.TokenSource(context)), seen)
		expect(2)
	}
	for _, name := range []string{"short", "shared"} {
		use(config(given.Clients[name], oauth2.AuthStyleInHeader).TokenSource(context), map[string]bool{})
	}
	wrong := given.Clients["hour"]
	wrong.Secret = "not-the-secret"
	for _, style := range []oauth2.AuthStyle{oauth2.AuthStyleInHeader, oauth2.AuthStyleInParams} {
		_, err := config(wrong, style).Token(context)
		if err == nil || !strings.Contains(err.Error(), "invalid_client") {
			log.Fatalf("a wrong secret: %v", err)
		}
	}
	fmt.Println("golang.org/x/oauth2: all well")
}
