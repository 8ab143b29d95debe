/** Why something cannot be done; empty where it can be tried. */

export type Role = "viewer" | "operator" | "admin";

/** All that the page does takes an operator, and an admin may do all that operators may. */
export function roleRefusal(role: Role | null): string {
  return role === "viewer" ? "You are signed in as a viewer, who may look only: actions take the role operator." : "";
}

/** What is archived is over for good until it is brought back. */
export function archiveRefusal(place: string | null): string {
  return place === null ? "" : `This execution is archived, and shown from ${place}. It can be restarted, rolled back or forked once \`talka import FILE\` has brought it back.`;
}
