package doctor

// tests sends a test notification to each pusher of this gateway that an app serves, if that was asked for.
func (x *examination) tests() error {
	if !x.Send {
		return nil
	}
	for _, p := range x.report.ours() {
		if p.App == "" {
			continue
		}
		data, _ := withoutURL(p.Source.Data)
		t, err := x.Gateway.Send(x.ctx, Device{AppID: p.AppID, Pushkey: p.Source.Pushkey, Data: data, Site: p.Gateway})
		if x.ctx.Err() != nil {
			return x.ctx.Err()
		}
		if err != nil { // the gateway refuses to send it, for example because the site does not serve the app
			x.report.Add("test_not_delivered", p.Index, facts{"reason": "not sent", "explanation": sentence(err.Error())})
			continue
		}
		p.Test = t
		if t.Outcome == "delivered" {
			x.report.Add("test_delivered", p.Index, nil)
			continue
		}
		x.report.Add("test_not_delivered", p.Index, facts{"reason": withWord(t.Reason, t.Word), "explanation": sentence(t.Explanation)})
	}
	return nil
}
