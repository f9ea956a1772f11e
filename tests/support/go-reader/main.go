// Prometheus's own parsers, as a strict reader of what /metrics answers: the one that scrapes, and the one of its tools.
// Reads a JSON list of {contentType, text}; writes for each its series with their values, or what is wrong.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
)

type exposition struct {
	ContentType string `json:"contentType"`
	Text        string `json:"text"`
}

type answer struct {
	Wrong  string            `json:"wrong"`
	Series []series          `json:"series"`
	Types  map[string]string `json:"types"`
}

type series struct {
	Labels map[string]string `json:"labels"`
	Value  string            `json:"value"`
}

func read(given exposition) answer {
	found := answer{Series: []series{}, Types: map[string]string{}}
	parser, err := textparse.New([]byte(given.Text), given.ContentType, labels.NewSymbolTable(), textparse.ParserOptions{})
	if err != nil {
		found.Wrong = err.Error()
		return found
	}
	seen := map[string]bool{}
	for {
		entry, err := parser.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			found.Wrong = err.Error()
			return found
		}
		switch entry {
		case textparse.EntryType:
			name, kind := parser.Type()
			if _, twice := found.Types[string(name)]; twice {
				found.Wrong = "a family stands twice: " + string(name)
			}
			found.Types[string(name)] = string(kind)
		case textparse.EntrySeries:
			var own labels.Labels
			parser.Labels(&own)
			_, _, value := parser.Series()
			if seen[own.String()] {
				found.Wrong = "a series stands twice: " + own.String()
			}
			seen[own.String()] = true
			found.Series = append(found.Series, series{own.Map(), fmt.Sprint(value)})
		}
	}
	if strings.HasPrefix(given.ContentType, "text/plain") {
		// The one of promtool, which also sees to names that clash.
		tool := expfmt.NewTextParser(model.UTF8Validation)
		if _, err := tool.TextToMetricFamilies(strings.NewReader(given.Text)); err != nil {
			found.Wrong = err.Error()
		}
	}
	return found
}

func main() {
	var given []exposition
	if err := json.NewDecoder(os.Stdin).Decode(&given); err != nil {
		panic(err)
	}
	answers := []answer{}
	for _, each := range given {
		answers = append(answers, read(each))
	}
	if err := json.NewEncoder(os.Stdout).Encode(answers); err != nil {
		panic(err)
	}
}
