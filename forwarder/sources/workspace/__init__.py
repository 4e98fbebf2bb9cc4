"""The Workspace Events API: a second way to the log of Jira or Confluence on a site. Preview: nobody has called it."""
