// Plans to start: a form made from what the rig says of a plan's parameters, checked here before it is sent and there again.

import { $, fill, make } from "./dom.js";
import { field } from "./fields.js";
import { failed, note } from "./log.js";

export class Plans {
  // `deviceOf(name)` tells units and limits of a device, where it has some.
  constructor(connection, deviceOf) {
    Object.assign(this, { connection, deviceOf, plans: new Map(), forms: new Map(), form: null, state: null });
    $("plan-choice").onchange = () => {
      $("plan-said").textContent = "";
      this.choose();
    };
    $("plan-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.start();
    });
  }

  async load() {
    const { plans } = await this.connection.ask("ListPlans");
    const chosen = $("plan-choice").value;
    const before = this.plans;
    this.plans = new Map(plans.map((plan) => [plan.name, plan]));
    // What was typed stays, unless the plan or the devices that fit are others by now.
    for (const plan of plans) if (JSON.stringify(before.get(plan.name)) !== JSON.stringify(plan)) this.forms.delete(plan.name);
    $("plan-choice").replaceChildren(make("option", { value: "" }, "choose …"), ...plans.map(({ name }) => make("option", {}, name)));
    $("plan-choice").value = this.plans.has(chosen) ? chosen : "";
    this.choose();
  }

  choose() {
    const plan = this.plans.get($("plan-choice").value);
    $("plan-doc").textContent = plan ? plan.doc.split("\n\n")[0].replaceAll("``", "") : "";
    this.form = plan ? this.formOf(plan) : null;
    $("plan-fields").replaceChildren(...(this.form ? this.form.map((each) => each.element) : []));
    this.allow();
  }

  // What was typed stays as long as the page is open.
  formOf(plan) {
    if (!this.forms.has(plan.name)) {
      const fields = plan.parameters.map((parameter) => field(parameter, `plan-${plan.name}-${parameter.name}`, this.deviceOf));
      for (const each of fields) each.follow?.(fields);
      this.forms.set(plan.name, fields);
    }
    return this.forms.get(plan.name);
  }

  // One plan at a time, and none while everything is stopped.
  allow(state = this.state) {
    this.state = state;
    const missing = this.form?.find((each) => each.impossible);
    const why =
      (!this.form && "choose a plan") ||
      (this.connection.role === "observe" && "your token is to observe") ||
      (state?.stopped && "everything is stopped") ||
      (state && state.engine !== "idle" && `a plan is ${state.engine}`) ||
      (state?.moving.length && `moved by hand: ${state.moving.join(", ")}`) ||
      (missing && missing.impossible);
    $("plan-start").disabled = Boolean(why);
    $("plan-why").textContent = this.form && why ? why : "";
  }

  // The arguments as the wire has them; null when one of them is wrong, which is said beside it.
  collected() {
    const found = {};
    let wrong = null;
    for (const each of this.form) {
      each.say("");
      try {
        const value = each.value();
        if (value) found[each.name] = value;
      } catch (error) {
        each.say(error.message);
        wrong ??= each;
      }
    }
    wrong?.focus();
    return wrong ? null : found;
  }

  async start() {
    const name = $("plan-choice").value;
    const form = this.form;
    const values = this.collected();
    $("plan-said").textContent = "";
    if (!values) return;
    $("plan-start").disabled = true; // until the rig says that it is idle: a double click starts one plan
    try {
      const last = await this.ended(name, values);
      if (last.exit_status !== "success") $("plan-said").textContent = `${last.exit_status}: ${last.reason}`;
      else if (last.result && last.result !== "None") note(`${name}: ${last.result}`);
    } catch (error) {
      const where = form.find((each) => each.name === error.about);
      if (where) {
        where.say(error.message);
        where.focus();
      }
      failed(error, where ? null : $("plan-said"));
    } finally {
      $("plan-progress").replaceChildren();
      this.allow();
    }
  }

  // How it ended. A cut ends the call, not the plan: then it is followed by its number, and never begun again.
  async ended(name, values) {
    let [id, since] = ["", "0"];
    let last;
    const onItem = (event) => {
      last = event;
      id = event.id || id;
      if (event.number !== "0") since = event.number;
      this.hear(name, event);
    };
    let call = this.connection.begin("RunPlan", { name, arguments: values }, { onItem });
    for (;;) {
      try {
        await call.done; // without an event where the last one came before a cut
        return last;
      } catch (error) {
        if (error.kind !== "ServerGone" || !id) throw error;
      }
      if (!this.connection.isOpen) await new Promise((back) => this.connection.addEventListener("open", back, { once: true }));
      call = this.connection.begin("FollowPlan", { id, since }, { onItem });
    }
  }

  hear(name, event) {
    if (event.what === "BEGUN") note(`${name} was started here`);
    if (event.what === "PROGRESS") this.progress(event.progress);
  }

  // How far what the plan waits for is, each by its name; the points of the run have a bar of their own.
  progress({ name, current, initial, target, units, done }) {
    if (name === "points") return;
    const bars = $("plan-progress");
    let bar = [...bars.children].find((each) => each.dataset.name === name);
    if (done) return bar?.remove();
    if (!bar) {
      bar = make("label", { "data-name": name }, make("span"), make("progress", { max: 1 }));
      bars.append(bar);
    }
    const whole = Number(target) - Number(initial);
    const [words, shown] = bar.children;
    words.textContent = `${name} ${Number(current).toPrecision(5)} ${units}`;
    fill(shown, (Number(current) - Number(initial)) / whole);
  }
}
