// The floor in Go: standard library only, and nothing durable.
//
//	floor FEED_URL ORG KEY DRAIN_URL
//
// GET a page, decode what an ECS document needs, encode it, gzip level 1, POST as a bulk request; the end is an empty
// page. Context and container are passed on as they came. No ids, no repeats, nothing on disk, no retries.
package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"os"
)

type event struct {
	ID         string
	Attributes struct {
		Time, ProcessedAt, Action string
		Actor                     struct{ ID, Name, Email string }
		Location                  struct{ IP, CountryName, RegionName, City string }
		Context, Container        json.RawMessage
	}
	Message struct{ Content string }
}

type page struct {
	Data []event
	Meta struct{ Next *string }
}

type version struct {
	Version string `json:"version"`
}

type about struct {
	ID       string   `json:"id"`
	Kind     string   `json:"kind"`
	Module   string   `json:"module"`
	Dataset  string   `json:"dataset"`
	Action   string   `json:"action"`
	Category []string `json:"category"`
	Type     []string `json:"type"`
	Created  string   `json:"created"`
}

type user struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Email string `json:"email"`
}

type geo struct {
	Country string `json:"country_name"`
	Region  string `json:"region_name"`
	City    string `json:"city_name"`
}

type source struct {
	IP  string `json:"ip"`
	Geo geo    `json:"geo"`
}

type related struct {
	User []string `json:"user"`
	IP   []string `json:"ip"`
}

type audit struct {
	Context   json.RawMessage `json:"context"`
	Container json.RawMessage `json:"container"`
}

type atlassian struct {
	Audit audit `json:"audit"`
}

type organization struct {
	ID string `json:"id"`
}

type document struct {
	Time         string       `json:"@timestamp"`
	ECS          version      `json:"ecs"`
	Event        about        `json:"event"`
	Message      string       `json:"message"`
	Organization organization `json:"organization"`
	User         user         `json:"user"`
	Source       source       `json:"source"`
	Related      related      `json:"related"`
	Atlassian    atlassian    `json:"atlassian"`
}

var iam, info = []string{"iam"}, []string{"info"}

func ecs(e *event) document {
	a := &e.Attributes
	return document{
		Time:         a.Time,
		ECS:          version{"9.4.0"},
		Event:        about{e.ID, "event", "atlassian", "atlassian.audit", a.Action, iam, info, a.ProcessedAt},
		Message:      e.Message.Content,
		Organization: organization{"o1"},
		User:         user(a.Actor),
		Source:       source{a.Location.IP, geo{a.Location.CountryName, a.Location.RegionName, a.Location.City}},
		Related:      related{[]string{a.Actor.ID, a.Actor.Email}, []string{a.Location.IP}},
		Atlassian:    atlassian{audit{a.Context, a.Container}},
	}
}

func ask(request *http.Request) []byte {
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		log.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		log.Fatal(answer.Status, err)
	}
	return body
}

func main() {
	feed, org, key, drain := os.Args[1], os.Args[2], os.Args[3], os.Args[4]
	where := "from=0&sortOrder=asc"
	packed, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed)
	var lines, wire bytes.Buffer
	encoder := json.NewEncoder(&lines)
	encoder.SetEscapeHTML(false)
	for {
		get, _ := http.NewRequest("GET", feed+"/admin/v1/orgs/"+org+"/events-stream?"+where+"&limit=500", nil)
		get.Header.Set("Authorization", "Bearer "+key)
		var found page
		if err := json.Unmarshal(ask(get), &found); err != nil {
			log.Fatal(err)
		}
		if len(found.Data) == 0 {
			return
		}
		lines.Reset()
		for i := range found.Data {
			fmt.Fprintf(&lines, "{\"create\":{\"_id\":%q}}\n", found.Data[i].ID)
			if err := encoder.Encode(ecs(&found.Data[i])); err != nil {
				log.Fatal(err)
			}
		}
		wire.Reset()
		packed.Reset(&wire)
		packed.Write(lines.Bytes())
		packed.Close()
		post, _ := http.NewRequest("POST", drain+"/x/_bulk?filter_path=errors,items.*.status", &wire)
		post.Header.Set("Content-Type", "application/x-ndjson")
		post.Header.Set("Content-Encoding", "gzip")
		if !bytes.Contains(ask(post), []byte(`"errors":false`)) {
			log.Fatal("something was refused")
		}
		if found.Meta.Next == nil {
			return
		}
		where = "cursor=" + url.QueryEscape(*found.Meta.Next)
	}
}
